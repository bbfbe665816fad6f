// Which addresses a name stands for, and when to ask again. Pure bookkeeping; `NamedAddress` has the
// resolver.

import Wire

/// The addresses of a name as they are known now.
struct NameWatch {
  /// A name may get another address at any time.
  private static let interval = Duration.seconds(300)
  /// Between questions when nothing is heard, at least.
  private static let patience = Duration.seconds(5)
  /// Between questions that got no address: doubling from the first to the second. The second, too,
  /// while nothing is heard.
  private static let retries = (first: Duration.seconds(1), last: Duration.seconds(30))
  /// A question that stays without answer so long is asked again.
  private static let timeout = Duration.seconds(60)

  /// What an answer changed.
  enum Change: Hashable {
    case nothing
    /// There are addresses, for the first time or again.
    case found
    /// The address in use is not the name's any more.
    case moved
    /// There is no address now: to be told once. What was known before still holds.
    case failed(String)
  }

  let name: String
  /// The families that can be used.
  private let families: [AddressFamily]
  /// In the order in which they are to be tried.
  private(set) var addresses: [IPAddress] = []
  /// The one in use, or to be tried first.
  private(set) var current: IPAddress?
  private var number: UInt32 = 0
  private var isWaiting = false
  private var askedAt: Instant?
  private var retry = retries.first
  private var hasToldFailure = false
  /// Whether nothing is heard.
  private var isSilent = false
  /// When the next question is due.
  private(set) var nextDeadline: Instant

  init(_ name: String, families: [AddressFamily] = AddressFamily.allCases, at now: Instant) {
    self.name = name
    self.families = families
    nextDeadline = now
  }

  /// The question that is due.
  mutating func question(at now: Instant) -> NameQuestion? {
    guard nextDeadline <= now else { return nil }
    nextDeadline = now + Self.timeout
    askedAt = now
    number &+= 1
    isWaiting = true
    return NameQuestion(number: number, name: name)
  }

  /// Takes an answer in.
  mutating func take(_ answer: NameAnswer, at now: Instant) -> Change {
    guard isWaiting, answer.number == number else { return .nothing }
    isWaiting = false
    let usable = answer.addresses.filter { families.contains($0.family) }
    guard let first = usable.first else {
      nextDeadline = now + retry
      retry = min(retry * 2, Self.retries.last)
      defer { hasToldFailure = true }
      return hasToldFailure ? .nothing : .failed(answer.reason)
    }
    let wasFailing = hasToldFailure
    (retry, hasToldFailure) = (Self.retries.first, false)
    nextDeadline = now + (isSilent ? Self.retries.last : Self.interval)
    addresses = usable
    guard let current, addresses.contains(current) else {
      let isFirst = current == nil
      current = first
      return isFirst ? .found : .moved
    }
    return wasFailing ? .found : .nothing
  }

  /// Nothing is heard from the address any more: maybe it is another one now.
  mutating func fellSilent(at now: Instant) {
    isSilent = true
    if !isWaiting { nextDeadline = min(nextDeadline, (askedAt ?? now) + Self.patience) }
  }

  /// Something is heard from this address, which is in use from now on.
  mutating func isHeard(at address: IPAddress) {
    isSilent = false
    current = address
  }

  /// Uses the next address, where there is another one.
  mutating func useNext() -> IPAddress? {
    guard addresses.count > 1, let current, let place = addresses.firstIndex(of: current) else {
      return nil
    }
    self.current = addresses[(place + 1) % addresses.count]
    return self.current
  }
}
