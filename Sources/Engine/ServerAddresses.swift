// Where a client's server is, where its name has several addresses: they are dialled one after the other
// without waiting for the failure of the one before, and the first one that answers is taken, as in RFC
// 8305 ("Happy Eyeballs"), section 5.
//
//   setServers ─► dial the first ─► 250 ms ─► the second ─► 250 ms ─► … ─► each second the first, or
//                                                   the one that answered last, and one of the others

public import Wire

extension TunnelEngine {
  /// How long an address has before the next one is dialled beside it (RFC 8305, section 8).
  static let attemptDelay = Duration.milliseconds(250)

  /// Tells the server's addresses, in the order in which they are to be tried. Where the one that is
  /// dialled now is none of them, dials anew at once; until that is answered, the channels to the old one
  /// carry what they can.
  public mutating func setServers(_ addresses: [IPAddress], at now: Instant) {
    guard dialer?.setServers(addresses) == true else { return }
    abandonDials(at: now) { _ in true }
    reconnect(at: now)
    race(through: addresses.count - 1, at: now)
  }

  /// The addresses behind the first one have their first turn.
  private mutating func race(through count: Int, at now: Instant) {
    guard count > 0 else { return }
    rivalsDue = count
    timers.schedule(.race, at: now + Self.attemptDelay)
  }

  /// Another address's first turn.
  mutating func continueRace(at now: Instant) {
    guard rivalsDue > 0, dialer?.isServerHeard == false else { return }
    dialRival(at: now)
    race(through: rivalsDue - 1, at: now)
  }

  /// There is no way to the address that was dialled: the next one need not wait.
  mutating func hastenRace(at now: Instant) {
    if rivalsDue > 0, dialer?.isServerHeard == false { timers.schedule(.race, at: now) }
  }

  /// Dials another address as well, one channel of each carrier.
  mutating func dialRival(at now: Instant) {
    guard let rival = dialer?.takeRival(), let turn = dialer?.takeTurn() else { return }
    for slot in turn { requestDial(slot, to: rival, at: now) }
  }

  /// A channel was opened: the server is where that goes.
  mutating func noteServer(of index: Int, at now: Instant) {
    let address = channels[index].tuple.remote.address
    guard dialer?.serverAnswered(at: address) == true else { return }
    rivalsDue = 0
    abandonRivals(at: now)
    dialer?.forgetFailures()
    events.append(.serverAnswered(address))
    tickDialerSoon(at: now)
  }

  /// Gives up the dials to addresses that were tried beside the server's.
  mutating func abandonRivals(at now: Instant) {
    guard let server = dialer?.server else { return }
    abandonDials(at: now) { $0 != server }
  }

  private mutating func abandonDials(at now: Instant, where isGivenUp: (IPAddress) -> Bool) {
    for index in Array(channels.indices)
    where channels[index].isDialling && isGivenUp(channels[index].tuple.remote.address) {
      dialer?.slots[channels[index].slot].lastDial = nil
      abandonDial(index, at: now)
    }
  }
}
