// What became of the frames of one way. Each that arrives is counted once more, by its fate.

/// What is counted, for each way.
public enum Count: Int, CaseIterable, Sendable {
  /// Frames that came in.
  case arrived
  /// Their bytes, Ethernet headers included.
  case arrivedBytes
  /// Frames that went out again.
  case sent
  /// Their bytes.
  case sentBytes
  /// Frames on their way now.
  case waiting
  /// Dropped by `loss`.
  case lost
  /// Dropped because the queue before the wire was full.
  case overflowed
  /// Dropped by `police`.
  case policed
  /// Dropped by `block`.
  case blocked
  /// Dropped by `blackhole`.
  case blackholed
  /// Dropped by `outage`.
  case cut
  /// Held back by `reorder`; they arrive.
  case reordered
  /// RSTs of its own; they are in `sent`, not in `arrived`.
  case resets
  /// Neighbour discovery and other frames of the wire's own, carried at once; they are in `sent`.
  case neighbourly
  /// Dropped because they were no wire packets: the sender's interface still leaves checksums or
  /// segmentation to the device.
  case unfinished
  /// Lost by the emulator itself: no memory was free, the kernel's buffer was full, or a send failed.
  case mislaid
}

/// The counters of one way.
public struct Counters: Equatable, Sendable {
  private var values = [Int](repeating: 0, count: Count.allCases.count)

  /// All 0.
  public init() {}

  /// One counter.
  public subscript(count: Count) -> Int {
    get { values[count.rawValue] }
    set { values[count.rawValue] = newValue }
  }

  /// One line of names and numbers.
  public var text: String {
    Count.allCases.map { "\($0) \(self[$0])" }.joined(separator: " ")
  }

  /// Reads such a line; nil where a name is unknown or a number is none.
  public init?(parsing text: some StringProtocol) {
    let words = text.split(separator: " ")
    guard words.count.isMultiple(of: 2) else { return nil }
    for index in stride(from: 0, to: words.count, by: 2) {
      guard let count = Count.allCases.first(where: { "\($0)" == words[index] }),
        let number = Int(words[index + 1])
      else { return nil }
      self[count] = number
    }
  }
}
