// What became of the frames that this side sent on a channel, as the peer's reports say.

internal import Wire

/// The sender's account of one channel.
struct Delivery: Sendable {
  /// What was sent.
  var sent = FrameTally()
  /// What had arrived of it by the last report.
  private(set) var confirmed = FrameTally()
  /// One above the highest number that had arrived by then.
  private(set) var confirmedNext: UInt64 = 0
  /// How many frames were sent between the last two reports that brought news, going by numbers, and
  /// how many of them arrived: those that came late count for the later report.
  private(set) var lastInterval = (sent: UInt64(0), arrived: UInt64(0), bytes: UInt64(0))

  /// Takes a report. True where it brought news; nil where it cannot be: more than was sent, or less
  /// than an earlier one had.
  /// - Parameters:
  ///   - next: the number that the next frame will have.
  ///   - mask: the bits of a number that `highest` has.
  mutating func take(_ report: ReceiverReport, next: UInt64, mask: UInt64) -> Bool? {
    guard report.tally.isWithin(sent), report.tally.largest <= sent.largest,
      confirmed.isWithin(report.tally), next > 0
    else { return nil }
    // Of the numbers with these low bits, the last one that was used.
    let newest = next &- 1
    let behind = (newest &- UInt64(report.highest)) & mask
    guard behind <= newest else { return nil }
    let highestNext = newest &- behind &+ 1
    guard highestNext >= confirmedNext else { return nil }
    guard report.tally.frames > confirmed.frames else { return false }
    lastInterval = (
      highestNext &- confirmedNext, report.tally.frames &- confirmed.frames,
      report.tally.bytes &- confirmed.bytes
    )
    confirmed = report.tally
    confirmedNext = highestNext
    return true
  }

  /// How many of the frames of the last interval did not arrive.
  var missing: UInt64 { lastInterval.sent &- min(lastInterval.sent, lastInterval.arrived) }

  /// Takes so many of the missing frames as never sent.
  mutating func forgive(_ count: UInt64) { lastInterval.sent &-= count }
}
