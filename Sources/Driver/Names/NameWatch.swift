// Which address a name stands for, and when to ask again. Pure bookkeeping; `NamedHost` has the resolver.

import Wire

/// The address of a name as it is known now.
struct NameWatch {
  /// A name may get another address at any time.
  private static let interval = Duration.seconds(300)
  /// Between questions when nothing is heard, at least; and for an address to answer before the next
  /// one of the list has its turn.
  private static let patience = Duration.seconds(5)
  /// Between questions that got no address: doubling from the first to the second.
  private static let retries = (first: Duration.seconds(1), last: Duration.seconds(30))
  /// A question that stays without answer so long is asked again.
  private static let timeout = Duration.seconds(60)

  /// What an answer changed.
  enum Change: Hashable {
    case nothing
    /// An address, for the first time or again.
    case found(IPAddress)
    /// Another address than before.
    case moved(IPAddress)
    /// There is no address now: to be told once. What was known before still holds.
    case failed(String)
  }

  let name: String
  private(set) var current: IPAddress?
  private var addresses: [IPAddress] = []
  private var number: UInt32 = 0
  private var isWaiting = false
  private var askedAt: Instant?
  private var retry = retries.first
  private var hasToldFailure = false
  /// Since when nothing is heard from the address; nil while something is.
  private var silentSince: Instant?
  /// When the next question is due.
  private var askAt: Instant

  init(_ name: String, at now: Instant) {
    self.name = name
    askAt = now
  }

  /// When `question` or `nextInTurn` is to be called.
  var nextDeadline: Instant {
    let turn = silentSince.map { $0 + Self.patience } ?? .distantFuture
    return min(askAt, addresses.count > 1 ? turn : .distantFuture)
  }

  /// The question that is due.
  mutating func question(at now: Instant) -> NameQuestion? {
    guard askAt <= now else { return nil }
    askAt = now + Self.timeout
    askedAt = now
    number &+= 1
    isWaiting = true
    return NameQuestion(number: number, name: name)
  }

  /// Takes an answer in.
  mutating func take(_ answer: NameAnswer, at now: Instant) -> Change {
    guard isWaiting, answer.number == number else { return .nothing }
    isWaiting = false
    guard let first = answer.addresses.first else {
      askAt = now + retry
      retry = min(retry * 2, Self.retries.last)
      defer { hasToldFailure = true }
      return hasToldFailure ? .nothing : .failed(answer.reason)
    }
    let wasFailing = hasToldFailure
    (retry, hasToldFailure) = (Self.retries.first, false)
    askAt = now + Self.interval
    addresses = answer.addresses
    guard let current, addresses.contains(current) else {
      let isFirst = current == nil
      current = first
      if silentSince != nil { silentSince = now }
      return isFirst ? .found(first) : .moved(first)
    }
    return wasFailing ? .found(current) : .nothing
  }

  /// Nothing is heard from the address any more, or was since the start: maybe it is another one now.
  mutating func fellSilent(at now: Instant) {
    silentSince = now
    if !isWaiting { askAt = min(askAt, (askedAt ?? now) + Self.patience) }
  }

  /// Something is heard.
  mutating func isHeard() { silentSince = nil }

  /// The next address of the list, where the one that is tried has not answered for long enough.
  mutating func nextInTurn(at now: Instant) -> IPAddress? {
    guard let since = silentSince, since + Self.patience <= now else { return nil }
    fellSilent(at: now)
    guard addresses.count > 1, let current, let place = addresses.firstIndex(of: current) else {
      return nil
    }
    let next = addresses[(place + 1) % addresses.count]
    self.current = next
    return next
  }
}
