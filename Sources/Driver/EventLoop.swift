// The loop itself: wait, hand out what is readable, do what is due, until a signal ends it.

import Engine
import Glibc
import Kernel
import Logging
import Wire

/// What an epoll token means. The roles' own tokens start at `firstOfRole`.
enum Token {
  static let signals: UInt64 = 0
  /// Packets of a family.
  static func packets(_ family: AddressFamily) -> UInt64 { family == .ipv4 ? 1 : 6 }
  static let network: UInt64 = 2
  static let ruleset: UInt64 = 3
  /// Somebody connects to the control socket; behind it, one for each who is connected.
  static let control: UInt64 = 4
  static let firstOfControl: UInt64 = 8
  static let controlLimit = 8
  static let resolver: UInt64 = 5
  static let firstOfRole: UInt64 = 16
  /// Behind all flows.
  static let firstOfDecoy: UInt64 = 1 << 32
  /// Behind all decoys: one for each port.
  static let firstOfUDP: UInt64 = 1 << 40
}

/// Sources of events that only the loop looks at.
struct EventLoop: ~Copyable {
  /// How long the answers to our closes are waited for.
  private static let closeTime = Duration.milliseconds(500)

  private var signals: SignalSource
  private var network: NetworkEvents
  private var control: ControlSocket
  private var stopBy: Instant?

  init(
    signals: consuming SignalSource, network: consuming NetworkEvents,
    control: consuming ControlSocket, for tunnel: borrowing Tunnel
  ) throws(SystemError) {
    try tunnel.epoll.add(signals.descriptor.rawValue, token: Token.signals)
    try tunnel.epoll.add(network.descriptor, token: Token.network)
    try tunnel.wire.watch(tunnel.epoll)
    try control.watch(tunnel.epoll)
    self.control = control
    self.signals = signals
    self.network = network
  }

  /// Runs until a signal ends it and all channels are closed.
  mutating func run(
    _ tunnel: inout Tunnel, _ role: inout some TunnelRole & ~Copyable,
    _ process: borrowing ProcessSetup
  ) throws(SystemError) {
    tunnel.handleEvents(for: &role)
    while !isOver(tunnel) {
      let deadline = min(
        tunnel.engine.nextDeadline, role.nextDeadline, stopBy ?? .distantFuture)
      // From when the last wait ended: one look at the clock a turn, and a timer may be late by
      // what the turn took.
      let timeout = deadline == .distantFuture ? nil : max(.zero, deadline - tunnel.now)
      let count = try tunnel.epoll.wait(timeout: timeout)
      tunnel.now = BootClock.now()
      tunnel.readClock()
      for index in 0..<count {
        try handle(tunnel.epoll.token(at: index), &tunnel, &role, process)
      }
      role.heedRefusals(&tunnel)
      tunnel.advance(for: &role)
      role.advance(&tunnel)
      tunnel.retryRefused()
    }
  }

  private func isOver(_ tunnel: borrowing Tunnel) -> Bool {
    guard let stopBy else { return false }
    return tunnel.engine.isClosed || tunnel.now >= stopBy
  }

  private mutating func handle(
    _ token: UInt64, _ tunnel: inout Tunnel, _ role: inout some TunnelRole & ~Copyable,
    _ process: borrowing ProcessSetup
  ) throws(SystemError) {
    switch token {
    case Token.packets(.ipv4): try tunnel.receivePackets(.ipv4, for: &role)
    case Token.packets(.ipv6): try tunnel.receivePackets(.ipv6, for: &role)
    case Token.network: try tunnel.noteNetwork(&network, for: &role)
    case Token.signals: handleSignals(&tunnel, &role, process)
    case Token.firstOfUDP...:
      let port = UInt16(truncatingIfNeeded: token)
      try tunnel.receiveDatagrams(port: port, for: &role)
    case Token.control, Token.firstOfControl..<Token.firstOfRole:
      handleControl(token, &tunnel, &role)
    default:
      role.receive(token: token, &tunnel)
      tunnel.handleEvents(for: &role)
    }
  }

  private mutating func handleSignals(
    _ tunnel: inout Tunnel, _ role: inout some TunnelRole & ~Copyable,
    _ process: borrowing ProcessSetup
  ) {
    while let signal = signals.next() {
      if signal == SIGHUP {
        do throws(StartError) { try process.reopenLog() } catch {
          tunnel.log.error("\(error.sentence)")
        }
        tunnel.reloadKeys()
        tunnel.handleEvents(for: &role)
      } else if stopBy == nil {
        stop(&tunnel, &role)
      } else {
        stopBy = tunnel.now
      }
    }
  }

  private mutating func handleControl(
    _ token: UInt64, _ tunnel: inout Tunnel, _ role: inout some TunnelRole & ~Copyable
  ) {
    switch control.receive(token: token, role, &tunnel) {
    case .stop: if stopBy == nil { stop(&tunnel, &role) }
    case .reconnect:
      tunnel.engine.reconnect(at: tunnel.now)
      tunnel.handleEvents(for: &role)
    case nil: break
    }
  }

  private mutating func stop(
    _ tunnel: inout Tunnel, _ role: inout some TunnelRole & ~Copyable
  ) {
    stopBy = tunnel.now + Self.closeTime
    tunnel.closeChannels(for: &role)
  }
}

extension Tunnel {
  fileprivate mutating func closeChannels(for role: inout some TunnelRole & ~Copyable) {
    segments.removeAll()
    engine.close(at: now, into: &segments)
    wire.send(&segments, payloads: packets, nextHops: nextHops)
    handleEvents(for: &role)
  }
}
