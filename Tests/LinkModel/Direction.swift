// The two ways through the link.

/// Which way a frame goes.
public enum Direction: Int, CaseIterable, Sendable {
  /// From the client to the server.
  case up
  /// From the server to the client.
  case down

  /// The other way.
  public var reversed: Direction { self == .up ? .down : .up }
}

/// A value for each way.
public struct BothWays<Value> {
  /// The value for the way up.
  public var up: Value
  /// The value for the way down.
  public var down: Value

  /// The same value for both.
  public init(_ value: Value) { (up, down) = (value, value) }

  /// The value for one way.
  public subscript(direction: Direction) -> Value {
    get { direction == .up ? up : down }
    _modify {
      switch direction {
      case .up: yield &up
      case .down: yield &down
      }
    }
  }
}

extension BothWays: Sendable where Value: Sendable {}
extension BothWays: Equatable where Value: Equatable {}
