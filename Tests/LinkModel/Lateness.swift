// How late frames leave: the emulator's own error.

import Wire

/// A histogram of times, in classes of a tenth of a millisecond up to 10 ms.
public struct Lateness: Sendable {
  private var classes = [Int](repeating: 0, count: 101)
  private var count = 0
  private var worst = Duration.zero

  /// Nothing was late yet.
  public init() {}

  /// Takes note of a frame that left so late.
  public mutating func note(_ duration: Duration) {
    classes[min(100, Int(max(0, duration.wholeNanoseconds) / 100_000))] += 1
    count += 1
    worst = max(worst, duration)
  }

  /// The upper bound in microseconds of the class that holds this share of the frames, and the worst.
  public var text: String {
    "late half \(bound(0.5)) us, 99% \(bound(0.99)) us, worst \(worst.wholeNanoseconds / 1000) us"
  }

  private func bound(_ share: Double) -> String {
    var rest = Double(count) * share
    for (index, count) in classes.enumerated() {
      rest -= Double(count)
      if rest <= 0 { return index == 100 ? "over 10000" : "\((index + 1) * 100)" }
    }
    return "0"
  }
}
