// A pre-shared key and whose it is.

public import Crypto

/// A pre-shared key and the name of the client that has it.
public struct NamedKey: Hashable, Sendable {
  /// The name of a key that the user gave none.
  public static let defaultName = "default"
  /// The longest name.
  public static let nameLimit = 32

  /// 1 to 32 letters, digits, dots, underscores and hyphens, all of ASCII: safe to print.
  public let name: String
  /// The key.
  public let key: SecretKey

  /// A key from its parts. The name must be one: see `isName`.
  public init(name: String = defaultName, key: SecretKey) {
    precondition(Self.isName(name.utf8), "no name for a key")
    self.name = name
    self.key = key
  }

  /// Whether bytes can be the name of a key.
  static func isName(_ bytes: some Collection<UInt8>) -> Bool {
    (1...nameLimit).contains(bytes.count)
      && bytes.allSatisfy {
        switch $0 {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
          UInt8(ascii: "-"):
          true
        default: false
        }
      }
  }

  /// Hashes the name: it is unique among the keys of a server.
  public func hash(into hasher: inout Hasher) { hasher.combine(name) }
}

extension NamedKey: CustomStringConvertible {
  /// The name alone.
  public var description: String { name }
}
