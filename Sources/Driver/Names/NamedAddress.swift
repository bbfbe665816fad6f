// A name and the process that looks it up, for a role of the loop.

import Kernel
import Logging
import Wire

/// A name whose address is followed.
struct NamedAddress: ~Copyable {
  private let resolver: HelperProcess
  private var watch: NameWatch
  private var isResolverGone = false

  /// Starts the resolver; the first question is due at once.
  init(_ name: String, at now: Instant) throws(SystemError) {
    resolver = try HelperProcess(arguments: ["resolve"])
    watch = NameWatch(name, at: now)
  }

  /// Watches for answers.
  func watch(_ epoll: borrowing Epoll) throws(SystemError) {
    try epoll.add(resolver.descriptor.rawValue, token: Token.resolver)
  }

  /// When `advance` is to be called.
  var nextDeadline: Instant { isResolverGone ? .distantFuture : watch.nextDeadline }

  /// Asks where that is due. Gives an address to try now.
  mutating func advance(_ tunnel: borrowing Tunnel) -> IPAddress? {
    guard !isResolverGone else { return nil }
    if let question = watch.question(at: tunnel.now) { _ = resolver.send(question.bytes) }
    let next = watch.nextInTurn(at: tunnel.now)
    if let next { tunnel.log.notice("nothing heard, trying \(next) of \(watch.name)") }
    return next
  }

  /// Takes in what the resolver says. Gives an address that is another one than before.
  mutating func receive(_ tunnel: borrowing Tunnel) -> IPAddress? {
    var address: IPAddress?
    while true {
      switch resolver.receive() {
      case .nothing: return address
      case .message(let bytes):
        guard let answer = NameAnswer(bytes) else { continue }
        address = take(answer, tunnel) ?? address
      case .end:
        isResolverGone = true
        try? tunnel.epoll.remove(resolver.descriptor.rawValue)
        tunnel.log.error("the resolver of names ended: \(watch.name) is not looked up any more")
        return address
      }
    }
  }

  private mutating func take(_ answer: NameAnswer, _ tunnel: borrowing Tunnel) -> IPAddress? {
    switch watch.take(answer, at: tunnel.now) {
    case .nothing: return nil
    case .found(let address):
      tunnel.log.notice("\(watch.name) is \(address)")
      return address
    case .moved(let address):
      tunnel.log.notice("\(watch.name) is \(address) now")
      return address
    case .failed(let reason):
      tunnel.log.warning("cannot find the address of \(watch.name): \(reason). Trying again")
      return nil
    }
  }

  /// Nothing is heard from the address.
  mutating func fellSilent(at now: Instant) { watch.fellSilent(at: now) }

  /// Something is heard.
  mutating func isHeard() { watch.isHeard() }
}
