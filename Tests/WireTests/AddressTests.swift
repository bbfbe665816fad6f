import Testing
import Wire

@Suite struct IPv4AddressTests {
  @Test(
    arguments: [
      ("0.0.0.0", 0), ("192.0.2.1", 0xC000_0201), ("255.255.255.255", 0xFFFF_FFFF),
      ("10.0.0.9", 0x0A00_0009),
    ] as [(String, UInt32)])
  func dottedDecimalIsParsedAndPrinted(text: String, number: UInt32) throws {
    let address = try #require(IPv4Address(text))
    #expect(address == IPv4Address(rawValue: number))
    #expect(address.description == text)
  }

  @Test(arguments: [
    "", ".", "...", "1.2.3", "1.2.3.", ".1.2.3", "1..2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.-1",
    "1.2.3.+4", "01.2.3.4", "1.2.3.00", "0x1.2.3.4", "1.2.3.4 ", " 1.2.3.4", "1.2.3.4\n",
    "3232235521", "1.2.3.99999999999999999999", "::1", "localhost", "1.2.3.٤",
  ])
  func anythingElseIsNot(text: String) {
    #expect(IPv4Address(text) == nil)
  }

  @Test func theWildcardIsZero() {
    #expect(IPv4Address.any.description == "0.0.0.0")
  }
}

@Suite struct EndpointTests {
  @Test(arguments: ["192.0.2.1:443", "0.0.0.0:0", "10.1.2.3:65535"])
  func addressAndPortAreParsedAndPrinted(text: String) {
    #expect(Endpoint(text)?.description == text)
  }

  @Test func partsAreThoseOfTheText() {
    #expect(Endpoint("192.0.2.1:443") == Endpoint(IPv4Address(rawValue: 0xC000_0201), 443))
  }

  @Test(arguments: [
    "", ":", "192.0.2.1", "192.0.2.1:", ":443", "192.0.2.1:65536", "192.0.2.1:-1",
    "192.0.2.1:443:443", "192.0.2.1: 443", "192.0.2.1:https", "192.0.2.1:99999999999999999999",
  ])
  func anythingElseIsNot(text: String) {
    #expect(Endpoint(text) == nil)
  }

  @Test func fourTupleTellsItsSidesApart() throws {
    let local = try #require(Endpoint("192.0.2.1:40000"))
    let remote = try #require(Endpoint("192.0.2.2:443"))
    let tuple = FourTuple(local: local, remote: remote)
    #expect(tuple.description == "192.0.2.1:40000-192.0.2.2:443")
    #expect(tuple != FourTuple(local: remote, remote: local))
  }
}
