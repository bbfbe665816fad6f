// How the tunnel follows the network: routes, neighbours, addresses, and links that refuse.

import Engine
import Kernel
import Wire

/// When to try AF_PACKET again on links that refused.
struct Fallback {
  private static let shortestPause = Duration.seconds(5)
  private static let longestPause = Duration.seconds(600)

  private var pause = shortestPause
  private var end: Instant?

  /// Whether it is time; each try that fails doubles the time to the next, for it costs a batch.
  mutating func isOver(at now: Instant) -> Bool {
    guard let end else {
      self.end = now + pause
      pause = min(pause * 2, Self.longestPause)
      return false
    }
    guard now >= end else { return false }
    self.end = nil
    return true
  }

  /// Every link has been tried anew because the network is another.
  mutating func reset() { self = Fallback() }
}

extension Tunnel {
  /// Gives channels that the raw socket carries because their link refused another try.
  mutating func retryRefused() {
    guard !wire.refused.isEmpty, fallback.isOver(at: now) else { return }
    for (channel, tuple) in engine.channelTuples where wire.refused.contains(channel) {
      route(channel, tuple)
    }
  }

  /// Finds out how a channel's segments leave, and what that way can carry.
  mutating func route(_ channel: Int, _ tuple: FourTuple) {
    guard let hop = try? nextHops.find(tuple) else { return wire.setHop(nil, channel: channel) }
    wire.setHop(hop.link, channel: channel)
    engine.setPath(hop.path, channel: channel)
  }

  /// Takes in what happened to the network; the role hears of it once for all.
  mutating func noteNetwork(
    _ events: inout NetworkEvents, for role: inout some TunnelRole & ~Copyable
  ) throws(SystemError) {
    var isChanged = false
    var isNeighbourOnly = true
    while let event = try events.next() {
      if try nextHops.note(event) {
        isChanged = true
        if case .neighbour = event { continue }
        isNeighbourOnly = false
      }
    }
    guard isChanged else { return }
    for (channel, tuple) in engine.channelTuples { route(channel, tuple) }
    fallback.reset()
    guard !isNeighbourOnly else { return }
    try wire.packet.replaceFilter(role.filter(addresses: Array(nextHops.addresses.keys)))
    role.networkChanged(&self)
    handleEvents(for: &role)
  }
}
