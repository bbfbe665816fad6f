// Which of the datagrams that have numbers were delivered: those that are cut, or sent on two channels.

internal import Wire

/// The numbers of delivered datagrams of one session and direction.
struct DeliveryWindow: Sendable {
  /// Where nothing new came for so long, a number that the window does not reach is not a late one: the
  /// peer has started anew, or much was lost.
  private static let patience = Duration.milliseconds(250)

  private var window = NumberWindow()
  private var lastTaken: Instant?

  /// Whether the datagram was not delivered, and is not so old that nobody knows.
  func isNew(_ number: UInt32, at now: Instant) -> Bool {
    if let lastTaken, window.reaches(number) || now - lastTaken < Self.patience {
      return window.isNew(number)
    }
    return true
  }

  /// Notes that a datagram is delivered; false where it was before.
  mutating func take(_ number: UInt32, at now: Instant) -> Bool {
    guard isNew(number, at: now) else { return false }
    if lastTaken != nil, window.reaches(number) {
      window.mark(number)
    } else {
      window.restart(at: number)
    }
    lastTaken = now
    return true
  }
}
