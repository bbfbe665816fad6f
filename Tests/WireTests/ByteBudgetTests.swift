import Testing
import Wire

@Suite struct ByteBudgetTests {
  @Test(
    arguments: [
      (0, nil), (1, 9), (7, 15), (8, 16), (9, 18), (0x58, 16 << 10), (0x59, 18 << 10),
      (0xC8, 256 << 20), (0xFF, 30 << 30),
    ] as [(UInt8, UInt64?)])
  func bytesAreThoseOfTheCode(code: UInt8, bytes: UInt64?) {
    #expect(ByteBudget(code: code).bytes == bytes)
  }

  /// Each budget is the largest one that is not over its own bytes, and over those just below it is too large.
  @Test func nextSmallerOneIsTaken() throws {
    var last: UInt64 = 0
    for code in UInt8(1)...UInt8.max {
      let bytes = try #require(ByteBudget(code: code).bytes)
      #expect(bytes > last)
      #expect(ByteBudget(atMost: bytes).code == code)
      if code > 1 { #expect(ByteBudget(atMost: bytes - 1).code == code - 1) }
      last = bytes
    }
    #expect(ByteBudget(atMost: last + 1).bytes == last)
    #expect(ByteBudget(atMost: .max).bytes == last)
    #expect(ByteBudget(atMost: 0).bytes == 9)
  }
}
