// Nanoseconds per datagram that the engine itself takes, system calls aside:
//
//   swift run -c release EngineBench
//
// The noise of a shared machine only ever adds, so the least of many rounds is given.

import EnginePair

/// The least time of one call over `rounds` rounds, in nanoseconds per datagram.
func measure(
  count: Int, size: Int, merged: Bool, _ delivery: EnginePair.Delivery, isSealed: Bool = false,
  isOnICMP: Bool = false
) -> String {
  var pair = EnginePair(isSealed: isSealed, isOnICMP: isOnICMP)
  var (send, receive) = (Duration.seconds(1), Duration.seconds(1))
  let clock = ContinuousClock()
  for _ in 0..<20_000 {
    pair.fill(count: count, size: size, merged: merged)
    send = min(send, clock.measure { pair.encapsulate() })
    pair.carry(delivery)
    receive = min(receive, clock.measure { pair.decapsulate() })
    pair.finishRound()
  }
  precondition(pair.delivered == 20_000 * count, "\(pair.delivered) delivered")
  return "encapsulate \(perDatagram(send, count)) ns, decapsulate \(perDatagram(receive, count)) ns"
}

func perDatagram(_ duration: Duration, _ count: Int) -> Int {
  Int(duration.components.attoseconds / 1_000_000_000) / count
}

for size in [1400, 200, 64] {
  let count = size == 1400 ? 46 : 64
  print(
    "\(size) bytes, \(count) in one buffer, merged:",
    measure(count: count, size: size, merged: true, .merged))
  print(
    "\(size) bytes, \(count) in one buffer, single:",
    measure(count: count, size: size, merged: true, .single))
  print(
    "\(size) bytes, \(count) alone, single:      ",
    measure(count: count, size: size, merged: false, .single))
  print(
    "\(size) bytes, 1 alone:                  ",
    measure(count: 1, size: size, merged: false, .single))
  print(
    "\(size) bytes, \(count) in one buffer, sealed:",
    measure(count: count, size: size, merged: true, .merged, isSealed: true))
  print(
    "\(size) bytes, \(count) in one buffer, ICMP:  ",
    measure(count: count, size: size, merged: true, .single, isOnICMP: true))
}
