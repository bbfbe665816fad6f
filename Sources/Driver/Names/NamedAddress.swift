// A name and the process that looks it up, for a role of the loop.

import Kernel
import Logging
import Wire

/// A name whose addresses are followed.
struct NamedAddress: ~Copyable {
  private let resolver: HelperProcess
  private var watch: NameWatch
  private var isResolverGone = false

  /// Starts the resolver; the first question is due at once. Only addresses of these families are used.
  init(_ name: String, families: [AddressFamily], at now: Instant) throws(SystemError) {
    resolver = try HelperProcess(arguments: ["resolve"])
    watch = NameWatch(name, families: families, at: now)
  }

  /// In the order in which they are to be tried.
  var addresses: [IPAddress] { watch.addresses }

  /// The address in use, or to be tried first.
  var current: IPAddress? { watch.current }

  /// Watches for answers.
  func watch(_ epoll: borrowing Epoll) throws(SystemError) {
    try epoll.add(resolver.descriptor.rawValue, token: Token.resolver)
  }

  /// When `advance` is to be called.
  var nextDeadline: Instant { isResolverGone ? .distantFuture : watch.nextDeadline }

  /// Asks where that is due.
  mutating func advance(_ tunnel: borrowing Tunnel) {
    guard !isResolverGone, let question = watch.question(at: tunnel.now) else { return }
    _ = resolver.send(question.bytes)
  }

  /// Takes in what the resolver says. True where it has told addresses.
  mutating func receive(_ tunnel: borrowing Tunnel) -> Bool {
    var hasAddresses = false
    while true {
      switch resolver.receive() {
      case .nothing: return hasAddresses
      case .message(let bytes):
        guard let answer = NameAnswer(bytes) else { continue }
        take(answer, tunnel)
        hasAddresses = !addresses.isEmpty
      case .end:
        isResolverGone = true
        try? tunnel.epoll.remove(resolver.descriptor.rawValue)
        tunnel.log.error("the resolver of names ended: \(watch.name) is not looked up any more")
        return hasAddresses
      }
    }
  }

  private mutating func take(_ answer: NameAnswer, _ tunnel: borrowing Tunnel) {
    let change = watch.take(answer, at: tunnel.now)
    let list = addresses.map(\.description).joined(separator: ", ")
    switch change {
    case .nothing: break
    case .found: tunnel.log.notice("\(watch.name) is \(list)")
    case .moved: tunnel.log.notice("\(watch.name) is \(list) now")
    case .failed(let reason):
      tunnel.log.warning("cannot find the address of \(watch.name): \(reason). Trying again")
    }
  }

  /// Nothing is heard from the address.
  mutating func fellSilent(at now: Instant) { watch.fellSilent(at: now) }

  /// Something is heard from this address.
  mutating func isHeard(at address: IPAddress) { watch.isHeard(at: address) }

  /// Uses the next address, where there is another one.
  mutating func useNext() -> IPAddress? { watch.useNext() }
}
