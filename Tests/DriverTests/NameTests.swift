// Which address a name stands for, and what the resolver may say.

import Testing
import Wire

@testable import Driver

@Suite("Names") struct NameTests {
  static let start = Instant(nanoseconds: 1_000_000_000_000)
  static let first = IPAddress("192.0.2.1")!
  static let second = IPAddress("192.0.2.2")!

  static func answer(_ number: UInt32, _ text: String, error: UInt8 = 0) throws -> NameAnswer {
    try #require(
      NameAnswer([UInt8(number >> 24), 0, 0, UInt8(number & 255), error] + Array(text.utf8)))
  }

  @Test("A question and its answer are what was sent") func messages() throws {
    let question = try #require(NameQuestion(NameQuestion(number: 7, name: "example.org").bytes))
    #expect(question.number == 7 && question.name == "example.org")
    let answer = try Self.answer(7, "192.0.2.1\n192.0.2.2")
    #expect(answer.number == 7 && answer.addresses == [Self.first, Self.second])
  }

  @Test(
    "What makes no sense is left out",
    arguments: [
      "", "\n\n\n", "nonsense", "0.0.0.0", "224.0.0.1", "255.255.255.255", "192.0.2.1.",
      "192.0.2.256",
      "::", "ff02::1", "fe80::1%eth0", "\u{0}\u{ff}", String(repeating: "1", count: 4000),
    ])
  func nonsense(text: String) throws {
    #expect(try Self.answer(1, text).addresses == [])
    let mixed = try Self.answer(1, text + "\n192.0.2.1")
    #expect(mixed.addresses == [Self.first])
  }

  @Test("Short answers are none, and of many addresses some are taken") func bounds() throws {
    for count in 0..<5 { #expect(NameAnswer([UInt8](repeating: 0, count: count)) == nil) }
    let many = (1...200).map { "10.0.0.\($0)" }.joined(separator: "\n")
    #expect(try Self.answer(1, many).addresses.count == 16)
  }

  @Test("Asked at once, then every 5 minutes; a change is told") func follows() throws {
    var watch = NameWatch("example.org", at: Self.start)
    #expect(watch.nextDeadline == Self.start)
    #expect(watch.question(at: Self.start)?.number == 1)
    #expect(watch.question(at: Self.start) == nil)
    #expect(watch.take(try Self.answer(9, "192.0.2.9"), at: Self.start) == .nothing)
    #expect(watch.take(try Self.answer(1, "192.0.2.1"), at: Self.start) == .found)
    // An answer is taken once.
    #expect(watch.take(try Self.answer(1, "192.0.2.2"), at: Self.start) == .nothing)
    let later = Self.start + .seconds(300)
    #expect(watch.nextDeadline == later)
    #expect(watch.question(at: later)?.number == 2)
    // The order of a list may change by itself.
    let both = try Self.answer(2, "192.0.2.2\n192.0.2.1")
    #expect(watch.take(both, at: later) == .nothing && watch.current == Self.first)
    let last = later + .seconds(300)
    _ = watch.question(at: last)
    #expect(watch.take(try Self.answer(3, "192.0.2.2"), at: last) == .moved)
  }

  @Test("No address: one warning, pauses that double, and what was known holds") func retries()
    throws
  {
    var watch = NameWatch("example.org", at: Self.start)
    var now = Self.start
    var pauses: [Duration] = []
    for number in 1...7 {
      #expect(watch.question(at: now)?.number == UInt32(number))
      let change = watch.take(try Self.answer(UInt32(number), "", error: 2), at: now)
      #expect(change == (number == 1 ? .failed("there is no such name") : .nothing))
      pauses.append(watch.nextDeadline - now)
      now = watch.nextDeadline
    }
    #expect(pauses == [1, 2, 4, 8, 16, 30, 30].map { Duration.seconds($0) })
    _ = watch.question(at: now)
    #expect(watch.take(try Self.answer(8, "192.0.2.1"), at: now) == .found)
    now = watch.nextDeadline
    _ = watch.question(at: now)
    guard case .failed = watch.take(try Self.answer(9, "", error: 3), at: now) else {
      Issue.record("a second failure was not told")
      return
    }
    #expect(watch.current == Self.first)
  }

  @Test("A resolver that says nothing is asked again after a minute") func silentResolver() {
    var watch = NameWatch("example.org", at: Self.start)
    _ = watch.question(at: Self.start)
    #expect(watch.nextDeadline == Self.start + .seconds(60))
    #expect(watch.question(at: Self.start + .seconds(60))?.number == 2)
  }

  @Test("The families take turns, that of the first address first") func order() throws {
    let both = "2001:db8::1\n2001:db8::2\n2001:db8::3\nfe80::1\n192.0.2.1\n192.0.2.2"
    #expect(
      try Self.answer(1, both).addresses.map(\.description) == [
        "2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2", "2001:db8::3",
      ])
    let many = (1...40).map { "2001:db8::\($0)" }.joined(separator: "\n") + "\n192.0.2.1"
    let addresses = try Self.answer(1, many).addresses
    #expect(addresses.count == 16 && addresses[1] == Self.first)
  }

  @Test("Addresses of a family that there is not are none") func families() throws {
    var watch = NameWatch("example.org", families: [.ipv4], at: Self.start)
    _ = watch.question(at: Self.start)
    #expect(
      watch.take(try Self.answer(1, "2001:db8::1"), at: Self.start)
        == .failed("it has no address that can be used"))
    let later = watch.nextDeadline
    _ = watch.question(at: later)
    #expect(watch.take(try Self.answer(2, "2001:db8::1\n192.0.2.1"), at: later) == .found)
    #expect(watch.addresses == [Self.first])
  }

  @Test("Where nothing is heard the name is looked up again, and again") func silence() throws {
    var watch = NameWatch("example.org", at: Self.start)
    watch.fellSilent(at: Self.start)
    _ = watch.question(at: Self.start)
    let both = "192.0.2.1\n192.0.2.2"
    #expect(watch.take(try Self.answer(1, both), at: Self.start) == .found)
    #expect(watch.nextDeadline == Self.start + .seconds(30))
    watch.isHeard(at: Self.second)
    #expect(watch.current == Self.second)
    var now = watch.nextDeadline
    _ = watch.question(at: now)
    // The one that is heard is one of them: the order says nothing.
    #expect(watch.take(try Self.answer(2, both), at: now) == .nothing)
    #expect(watch.current == Self.second && watch.nextDeadline == now + .seconds(300))
    // Not before 5 s after the last question.
    watch.fellSilent(at: now + .seconds(1))
    #expect(watch.nextDeadline == now + .seconds(5))
    now = now + .seconds(100)
    _ = watch.question(at: now)
    #expect(watch.take(try Self.answer(3, both), at: now) == .nothing)
    #expect(watch.nextDeadline == now + .seconds(30))
  }

  @Test("Addresses are used one after the other") func turns() throws {
    var watch = NameWatch("example.org", at: Self.start)
    #expect(watch.useNext() == nil)
    _ = watch.question(at: Self.start)
    #expect(watch.take(try Self.answer(1, "192.0.2.1"), at: Self.start) == .found)
    #expect(watch.useNext() == nil && watch.current == Self.first)
    let later = watch.nextDeadline
    _ = watch.question(at: later)
    _ = watch.take(try Self.answer(2, "192.0.2.1\n192.0.2.2"), at: later)
    #expect(watch.useNext() == Self.second && watch.current == Self.second)
    #expect(watch.useNext() == Self.first)
  }
}
