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
    route(wire.refused)
  }

  /// Finds out how a channel's segments leave, and what that way can carry.
  mutating func route(_ channel: Int, _ tuple: FourTuple) {
    guard let carrier = engine.carrier(channel: channel) else { return }
    let hop = try? nextHops.find(tuple, by: carrier)
    switch carrier.medium {
    case .packets:
      wire.setHop(hop, channel: channel)
      if let hop { engine.setPath(hop.path, channel: channel, at: now) }
    case .datagrams:
      if let hop { engine.setPath(hop.datagramPath, channel: channel, at: now) }
    }
  }

  private mutating func route(_ channels: Set<Int>) {
    guard !channels.isEmpty else { return }
    for (channel, tuple) in engine.channelTuples where channels.contains(channel) {
      route(channel, tuple)
    }
  }

  /// Takes in what happened to the network, all events of one wake at once: thousands may come
  /// together, and to read the network's state takes three dumps. What fails here does not end the
  /// program, for what was known before still holds until the next event; only another device in
  /// the place of the one to stay on does.
  mutating func noteNetwork(
    _ events: inout NetworkEvents, for role: inout some TunnelRole & ~Copyable
  ) throws(SystemError) {
    var changes = drain(&events)
    if nextHops.isStale {
      let addresses = nextHops.addresses
      readNetwork(for: role)
      try nextHops.checkDevice()
      // Routers renew the lifetimes of addresses every few minutes or seconds, and the kernel tells of
      // each time.
      changes.areRoutesOthers =
        changes.areRoutesOthers || nextHops.isStale || nextHops.addresses != addresses
    }
    if changes.areRoutesOthers || !changes.neighbours.isEmpty { wire.forgetBypasses() }
    guard changes.areRoutesOthers else { return route(wire.channels(by: changes.neighbours)) }
    for (channel, tuple) in engine.channelTuples { route(channel, tuple) }
    fallback.reset()
    role.networkChanged(&self)
    handleEvents(for: &role)
  }

  private mutating func drain(_ events: inout NetworkEvents) -> NetworkChanges {
    var changes = NetworkChanges()
    do throws(SystemError) {
      while let event = try events.next() { nextHops.note(event, in: &changes) }
    } catch {
      nextHops.isStale = true
      changes.areRoutesOthers = true
      report(error)
    }
    return changes
  }

  private mutating func readNetwork(for role: borrowing some TunnelRole & ~Copyable) {
    do throws(SystemError) {
      try nextHops.read()
      let addresses = Array(nextHops.addresses.keys)
      for family in wire.families {
        try wire.replaceFilter(role.filter(family, addresses: addresses), family)
      }
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
