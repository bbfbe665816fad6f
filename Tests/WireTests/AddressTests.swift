import Testing
import Wire

@Suite struct IPAddressTests {
  @Test(
    arguments: [
      ("0.0.0.0", 0), ("192.0.2.1", 0xC000_0201), ("255.255.255.255", 0xFFFF_FFFF),
      ("10.0.0.9", 0x0A00_0009),
    ] as [(String, UInt32)])
  func dottedDecimalIsParsedAndPrinted(text: String, number: UInt32) throws {
    let address = try #require(IPAddress(text))
    #expect(address == IPAddress(ipv4: number))
    #expect(address.description == text)
  }

  /// RFC 5952: what is printed, and what else means the same.
  @Test(
    arguments: [
      ("::", ["0::", "::0", "0:0:0:0:0:0:0:0", "::0:0", "::0.0.0.0"]),
      ("::1", ["0:0:0:0:0:0:0:1", "0::1", "::0.0.0.1"]),
      ("2001:db8::1", ["2001:DB8::1", "2001:0db8:0:0:0:0:0:0001", "2001:db8:0::0:1"]),
      ("2001:db8:0:1:1:1:1:1", ["2001:db8::1:1:1:1:1"]),
      ("2001:0:0:1::1", ["2001:0:0:1:0:0:0:1"]),
      ("2001:db8::1:0:0:1", ["2001:db8:0:0:1:0:0:1", "2001:db8:0:0:1::1"]),
      ("1::", ["1:0:0:0:0:0:0:0"]), ("fe80::abcd", ["FE80::ABCD"]),
      ("1:2:3:4:5:6:7:8", ["1:2:3:4:5:6:0.7.0.8"]), ("0:2:3:4:5:6:7:8", ["::2:3:4:5:6:7:8"]),
      ("64:ff9b::c000:201", ["64:ff9b::192.0.2.1"]), ("::fffe:c000:201", []),
      ("192.0.2.1", ["::ffff:192.0.2.1", "::FFFF:c000:201", "0:0:0:0:0:ffff:c000:0201"]),
    ] as [(String, [String])])
  func groupsAreParsedAndPrinted(text: String, others: [String]) throws {
    let address = try #require(IPAddress(text))
    #expect(address.description == text)
    for other in others {
      #expect(IPAddress(other) == address, "\(other)")
    }
  }

  @Test func familiesDoNotCollide() throws {
    let four = IPAddress(ipv4: 0xC000_0201)
    #expect(four.isIPv4 && four.ipv4 == 0xC000_0201)
    for text in ["::192.0.2.1", "1::ffff:192.0.2.1", "::1:ffff:192.0.2.1", "::"] {
      let six = try #require(IPAddress(text))
      #expect(!six.isIPv4 && six != four)
    }
    #expect(IPAddress.anyIPv6.description == "::")
  }

  /// The halves are the bytes in their order.
  @Test func halves() {
    #expect(
      IPAddress("102:304:506:708:90a:b0c:d0e:f10")
        == IPAddress(high: 0x0102_0304_0506_0708, low: 0x090A_0B0C_0D0E_0F10))
  }

  @Test(arguments: [
    ":", ":1", "1:", ":::", "1:::", ":::1", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9",
    "1:2:3:4::5:6:7:8", "::1:2:3:4:5:6:7:8", "12345::", "g::", "1::192.0.2", "192.0.2.1::",
    "1:192.0.2.1:2::", "::ffff:192.0.2.01", "fe80::1%eth0", "[::1]", " ::1", "::1 ", "+1::", "::-1",
    "1:2:3:4:5:6:7:192.0.2.1", "::\u{FF11}",
  ])
  func noGroups(text: String) {
    #expect(IPAddress(text) == nil)
  }

  @Test(arguments: [
    "", ".", "...", "1.2.3", "1.2.3.", ".1.2.3", "1..2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.-1",
    "1.2.3.+4", "01.2.3.4", "1.2.3.00", "0x1.2.3.4", "1.2.3.4 ", " 1.2.3.4", "1.2.3.4\n",
    "3232235521", "1.2.3.99999999999999999999", "localhost", "1.2.3.٤",
  ])
  func anythingElseIsNot(text: String) {
    #expect(IPAddress(text) == nil)
  }

  @Test func theWildcardIsZero() {
    #expect(IPAddress.any.description == "0.0.0.0")
  }
}

@Suite struct EndpointTests {
  @Test(arguments: [
    "192.0.2.1:443", "0.0.0.0:0", "10.1.2.3:65535", "[::]:0", "[2001:db8::1]:443",
  ])
  func addressAndPortAreParsedAndPrinted(text: String) {
    #expect(Endpoint(text)?.description == text)
  }

  @Test func partsAreThoseOfTheText() {
    #expect(Endpoint("192.0.2.1:443") == Endpoint(IPAddress(ipv4: 0xC000_0201), 443))
  }

  @Test(arguments: [
    "", ":", "192.0.2.1", "192.0.2.1:", ":443", "192.0.2.1:65536", "192.0.2.1:-1",
    "192.0.2.1:443:443", "192.0.2.1: 443", "192.0.2.1:https", "192.0.2.1:99999999999999999999",
    "::1:443", "[::1]", "[::1]443", "[::1]:", "[]:443", "[192.0.2.1]:443", "[::1:443", "::1]:443",
    "[[::1]]:443", "[::1] :443",
  ])
  func anythingElseIsNot(text: String) {
    #expect(Endpoint(text) == nil)
  }

  /// Each part counts, in both families.
  @Test func fourTuplesDiffer() throws {
    for (local, remote) in [
      ("192.0.2.1:1", "192.0.2.2:2"), ("[2001:db8::1]:1", "[2001:db8::2]:2"),
    ] {
      let tuple = FourTuple(
        local: try #require(Endpoint(local)), remote: try #require(Endpoint(remote)))
      var all: Set<FourTuple> = [tuple, FourTuple(local: tuple.remote, remote: tuple.local)]
      for end in [\FourTuple.local, \FourTuple.remote] {
        for change in 0..<3 {
          var other = tuple
          switch change {
          case 0: other[keyPath: end].port += 1
          case 1: other[keyPath: end].address.low += 1
          default: other[keyPath: end].address.high += 1
          }
          all.insert(other)
        }
      }
      #expect(all.count == 8)
    }
  }

  @Test func fourTupleTellsItsSidesApart() throws {
    let local = try #require(Endpoint("192.0.2.1:40000"))
    let remote = try #require(Endpoint("192.0.2.2:443"))
    let tuple = FourTuple(local: local, remote: remote)
    #expect(tuple.description == "192.0.2.1:40000-192.0.2.2:443")
    #expect(tuple != FourTuple(local: remote, remote: local))
  }
}
