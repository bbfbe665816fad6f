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
    #expect(watch.take(try Self.answer(1, "192.0.2.1"), at: Self.start) == .found(Self.first))
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
    #expect(watch.take(try Self.answer(3, "192.0.2.2"), at: last) == .moved(Self.second))
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
    #expect(watch.take(try Self.answer(8, "192.0.2.1"), at: now) == .found(Self.first))
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

  @Test("Where nothing answers each address has its turn, and the name is looked up again")
  func turns() throws {
    var watch = NameWatch("example.org", at: Self.start)
    watch.fellSilent(at: Self.start)
    _ = watch.question(at: Self.start)
    #expect(
      watch.take(try Self.answer(1, "192.0.2.1\n192.0.2.2"), at: Self.start) == .found(Self.first))
    #expect(watch.nextInTurn(at: Self.start + .seconds(4)) == nil)
    var now = Self.start + .seconds(5)
    #expect(watch.nextDeadline <= now)
    #expect(watch.nextInTurn(at: now) == Self.second)
    #expect(watch.question(at: now) != nil)
    #expect(watch.take(try Self.answer(2, "192.0.2.1\n192.0.2.2"), at: now) == .nothing)
    now = now + .seconds(5)
    #expect(watch.nextInTurn(at: now) == Self.first)
    watch.isHeard()
    #expect(watch.nextInTurn(at: now + .seconds(50)) == nil)
    // All channels died: not before 5 s after the last question.
    let quiet = now + .seconds(100)
    watch.fellSilent(at: quiet)
    #expect(watch.question(at: quiet) != nil)
    watch.fellSilent(at: quiet + .seconds(1))
    #expect(watch.question(at: quiet + .seconds(1)) == nil)
  }
}
