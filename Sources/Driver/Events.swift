// What both roles say in the log, and what they do for a ruleset that the kernel does not guard.

import Engine
import Kernel
import Logging

extension Tunnel {
  /// Says what happened, where that is worth a line.
  func logEvent(_ event: Event, peer: String) {
    switch event {
    case .connected(let session, let name):
      log.notice("connected to \(named(name, peer)), session \(session)")
    case .disconnected(let session, let name):
      log.notice("nothing heard from \(named(name, peer)) any more, session \(session)")
    case .unanswered:
      log.warning(
        "nothing heard from \(peer) yet: is rsock running there, can its ports be reached, and has it the same key?"
      )
    case .sessionEnded(let session, let name):
      log.notice("session \(session) of \(named(name, peer)) ended")
    case .largestDatagram(let session, let name, let byteCount):
      log.notice(
        """
        to \(named(name, peer)), session \(session), \
        \(PacketSize.sentence(largestDatagram: byteCount))
        """)
    case .proxied(let session, let name, let port, let hasOthers):
      let remedy =
        hasOthers
        ? "they go by its other channels instead" : "start the client with --type=udp or --type=all"
      log.warning(
        """
        on the way to \(named(name, peer)), session \(session), something ends TCP connections to port \(port), \
        as a transparent proxy or a TCP accelerator does, and datagrams are lost there: \(remedy)
        """)
    case .moreChannels(let count):
      log.notice(
        """
        datagrams are lost on all connections to \(peer) alike, as where a provider limits each: \
        opening more, \(count) of each carrier in all
        """)
    case .versionMismatch(let remote, let version):
      log.error("\(remote) speaks version \(version) of the protocol, which this rsock does not")
    case .cipherMismatch(let remote):
      log.error("\(remote) takes no cipher that this rsock takes: give both the same --cipher")
    case .dial, .channelOpened, .channelClosed, .channelMoved, .flowClosed, .stranger,
      .serverAnswered:
      break
    }
  }

  /// A client by the name of its key, where it has one.
  private func named(_ name: String?, _ peer: String) -> String {
    name.map { "\(peer) (\($0))" } ?? peer
  }
}

extension Ruleset {
  /// Watches for somebody flushing the table, where the kernel does not guard it.
  func watch(_ epoll: borrowing Epoll) throws(SystemError) {
    if let descriptor { try epoll.add(descriptor, token: Token.ruleset) }
  }

  /// Makes the table again where somebody removed it.
  func repair(_ log: Logger) {
    do throws(SystemError) {
      if try repair() { log.warning("the firewall rules were gone: made again") }
    } catch {
      log.warning("the firewall rules may be gone: \(error)")
    }
  }
}
