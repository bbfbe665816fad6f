// How the tunnel follows the network: routes, neighbours, addresses, and links that refuse.

import Engine
import Kernel
import Logging
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

  /// Takes in what happened to the network, all events of one wake at once: thousands may come
  /// together, and to read the network's state takes three dumps. Nothing that fails here ends the
  /// program: what was known before still holds until the next event.
  mutating func noteNetwork(
    _ events: inout NetworkEvents, for role: inout some TunnelRole & ~Copyable
  ) {
    var changes = drain(&events)
    if nextHops.isStale {
      readNetwork(for: role)
      changes.insert(.routes)
    }
    guard changes != [] else { return }
    for (channel, tuple) in engine.channelTuples { route(channel, tuple) }
    fallback.reset()
    guard changes.contains(.routes) else { return }
    role.networkChanged(&self)
    handleEvents(for: &role)
  }

  private mutating func drain(_ events: inout NetworkEvents) -> NetworkChanges {
    var changes: NetworkChanges = []
    do throws(SystemError) {
      while let event = try events.next() { changes.formUnion(nextHops.note(event)) }
    } catch {
      changes.formUnion(nextHops.note(.overrun))
      report(error)
    }
    return changes
  }

  private mutating func readNetwork(for role: borrowing some TunnelRole & ~Copyable) {
    do throws(SystemError) {
      try nextHops.read()
      try wire.packet.replaceFilter(role.filter(addresses: Array(nextHops.addresses.keys)))
      networkError = nil
    } catch {
      nextHops.isStale = true
      report(error)
    }
  }

  /// Says an error once, until another one or none follows.
  private mutating func report(_ error: SystemError) {
    if error != networkError {
      log.error("\(error). What was known of the network holds until it changes again")
    }
    networkError = error
  }
}
