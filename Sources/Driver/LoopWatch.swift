// Notices that what the tunnel sends comes back to it from an app: a default route, or a policy, leads it
// into a VPN whose packets this tunnel carries. Then nothing ever leaves the host.

import Engine
import Logging
import Wire

/// Judges by what happens while nothing is heard from the wire.
///
///     nothing heard for a second ─► a segment of ours, no app has sent for 5 ms ─► an app sends within 5 ms
///                                     16 times in a row: no app does that of its own accord
///
/// An app that knows nothing of us has one chance in two each time at the most (one that sends every 10 ms
/// has), so one in 65,536 for them all. One datagram is enough where it is a segment of ours as it was sent:
/// from who reads a tun device and does not encrypt.
struct LoopWatch {
  private static let silence = Duration.seconds(1)
  private static let window = Duration.milliseconds(5)
  private static let proof = 16

  private var heardAt: Instant
  private var sentAt: Instant?
  private var appSentAt: Instant?
  private var echoes = 0
  /// Whether it was told; once until something is heard.
  private var isKnown = false

  init(at now: Instant) { heardAt = now }

  /// Whether it is worth to look at what apps send.
  func isSuspicious(at now: Instant) -> Bool { !isKnown && now - heardAt >= Self.silence }

  /// Something came from the wire.
  mutating func heard(at now: Instant) { self = LoopWatch(at: now) }

  /// Segments were sent that no app is the cause of.
  mutating func sent(at now: Instant) {
    guard isSuspicious(at: now) else { return }
    let isQuiet = appSentAt.map { now - $0 >= Self.window } ?? true
    // Or the last ones have not come back.
    if !isQuiet || sentAt != nil { echoes = 0 }
    sentAt = isQuiet ? now : nil
  }

  /// An app has sent; `isOurs` is whether it sent what we had sent. True where that shows a loop.
  mutating func appSent(isOurs: Bool, at now: Instant) -> Bool {
    guard isSuspicious(at: now) else { return false }
    appSentAt = now
    if let sentAt {
      echoes = now - sentAt <= Self.window ? echoes + 1 : 0
      self.sentAt = nil
    }
    isKnown = isOurs || echoes == Self.proof
    return isKnown
  }
}

extension Tunnel {
  /// Looks at the datagrams that have come while nothing is heard, and says so where they are our own.
  mutating func lookForLoop() {
    let isOurs = engine.hasSent(packet: datagrams[0])
    guard loopWatch.appSent(isOurs: isOurs, at: now) else { return }
    log.warning(
      """
      a loop: what this tunnel sends comes back to it as datagrams from an app, so a route leads it into \
      a VPN that it carries. Give the other side a route of its own past the VPN, or mark the tunnel's \
      packets with --mark and give marked ones another table (ip rule)
      """)
  }
}
