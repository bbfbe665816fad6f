// What arrived on a channel, and when the sender is told.

internal import Wire

/// The receiver's account of one channel.
struct Reception: Sendable {
  /// What arrived: every frame whose number was new.
  var tally = FrameTally()
  /// When the next report goes out: nil where nothing came since the last one that needs it.
  private(set) var reportDue: Instant?

  /// Notes a frame that the sender wants to hear of. Gives the moment of the report where this is the
  /// first since the last one.
  @inline(__always)
  mutating func owe(after interval: Int64, at now: Instant) -> Instant? {
    guard reportDue == nil else { return nil }
    let due = Instant(nanoseconds: now.nanoseconds &+ interval)
    reportDue = due
    return due
  }

  /// What goes into a report that is sent now.
  mutating func report() -> FrameTally {
    reportDue = nil
    defer { tally.largest = 0 }
    return tally
  }
}
