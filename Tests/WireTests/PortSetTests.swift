import Testing
import Wire

@Suite struct PortSetTests {
  @Test(arguments: [
    ("443", "443"), ("80,443,10000-10005", "80,443,10000-10005"), ("1-65535", "1-65535"),
    (" 80 , 443 , 10000 - 10005 ", "80,443,10000-10005"), ("7-7", "7"), ("443,443", "443"),
    ("10-20,15-30", "10-30"), ("3,2,1", "1-3"), ("10-20,21", "10-21"), ("10-30,15", "10-30"),
    ("65535,65534", "65534-65535"), ("0080", "80"),
  ])
  func portsAreParsedSortedAndMerged(text: String, merged: String) throws {
    #expect(try PortSet(parsing: text).description == merged)
  }

  @Test(
    arguments: [
      ("", .empty), ("   ", .empty), (",", .notAPort("")), ("80,", .notAPort("")),
      (",80", .notAPort("")), ("80,,90", .notAPort("")), ("http", .notAPort("http")),
      ("80;90", .notAPort("80;90")), ("1-2-3", .notAPort("1-2-3")), ("-5", .notAPort("-5")),
      ("5-", .notAPort("5-")), ("-", .notAPort("-")), ("8 0", .notAPort("8 0")),
      ("80 443", .notAPort("80 443")), ("+80", .notAPort("+80")), ("0", .outOfRange("0")),
      ("65536", .outOfRange("65536")), ("80,70000", .outOfRange("70000")),
      ("99999999999999999999", .outOfRange("99999999999999999999")),
      ("0-10", .outOfRange("0-10")), ("60000-70000", .outOfRange("60000-70000")),
      ("20-10", .reversed("20-10")), ("443,20-10", .reversed("20-10")),
    ] as [(String, PortSet.ParseError)])
  func wrongPartIsNamed(text: String, error: PortSet.ParseError) {
    #expect(throws: error) { try PortSet(parsing: text) }
  }

  @Test func portsAreCountedFoundAndNumbered() throws {
    let ports = try PortSet(parsing: "80,443,10000-10005")
    #expect(ports.count == 8)
    #expect((0..<8).map { ports[$0] } == [80, 443, 10000, 10001, 10002, 10003, 10004, 10005])
    for port in UInt16.min...UInt16.max {
      let isListed = port == 80 || port == 443 || (10000...10005).contains(port)
      #expect(ports.contains(port) == isListed)
    }
  }

  @Test func wholeRangeHasItsEnds() throws {
    let all = try PortSet(parsing: "1-65535")
    #expect(all.count == 65535)
    #expect(all[0] == 1)
    #expect(all[65534] == 65535)
  }

  @Test func portsAreTakenOut() throws {
    let ports = try PortSet(parsing: "80,443,1000-1005,65530-65535")
    let rest = ports.subtracting([80, 81, 1000, 1003, 1004, 65535, 0])
    #expect(rest.description == "443,1001-1002,1005,65530-65534")
    #expect(ports.subtracting([]) == ports)
    #expect(ports.subtracting(Set(0...65535)).ranges == [])
  }
}
