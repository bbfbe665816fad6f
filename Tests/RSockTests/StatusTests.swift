// What `rsock status` prints, and what it does where there is nobody to ask.

import Driver
import FoundationEssentials
import Glibc
import Samples
import Testing

@testable import rsock

@Suite("Status") struct StatusTests {
  static let golden = String(#filePath.prefix(upTo: #filePath.lastIndex(of: "/")!)) + "/Golden"

  /// A program's document, as the socket gives it.
  static func program(_ channels: String, _ members: String = "") throws -> ProgramDocument {
    let text = """
      {"version":1,"role":"client","pid":4711,"uptime":7384.5,"taddr":"192.0.2.1",
       "address":"192.0.2.1","listen":"127.0.0.1:30000","ports":"443,10001-10010",
       "protection":"sealed","sessionCount":1,"channelCount":2,"unconfirmedCount":0,"flowCount":1,
       "channelsOpened":12,"datagramsSent":1234567,"datagramsReceived":7654321,"notSent":1,
       "notDelivered":2,"notReceived":3,"drops":{"badSeal":7,"unknownFlow":41},
       "sessions":[{"id":"c162d8e633a5bba3c162d8e633a5bba3","state":"connected","age":7383.1,
         "idle":0.01,"flowCount":1,"largestDatagram":1432,"channels":[\(channels)]}]\(members)}
      """
    return try JSONDecoder().decode(ProgramDocument.self, from: Data(text.utf8))
  }

  static let channels = """
    {"id":1,"carrier":"tcp","local":"192.168.1.7:43210","remote":"192.0.2.1:443",
     "state":"healthy","age":65.2,"silence":0.1,"roundTrip":0.0234,
     "loss":0.0042,"share":1,
     "sent":{"segments":10,"bytes":5000,"datagrams":9},
     "received":{"segments":20,"bytes":9000,"datagrams":18},
     "rates":{"sent":{"segments":10,"bytes":1250000,"datagrams":9},
      "received":{"segments":20,"bytes":812,"datagrams":18}}},
    {"id":2,"carrier":"tcp","local":"192.168.1.7:5","remote":"192.0.2.1:10001",
     "state":"dialling","silence":0.1,"share":0,
     "sent":{"segments":0,"bytes":0,"datagrams":0},
     "received":{"segments":0,"bytes":0,"datagrams":0}}
    """

  @Test("The table is the text in Golden/") func table() throws {
    let text = StatusTable(try Self.program(Self.channels)).text
    let path = "\(Self.golden)/status-table.txt"
    if unsafe getenv("RECORD_GOLDEN") != nil {
      let file = unsafe fopen(path, "w")!
      unsafe fputs(text, file)
      unsafe fclose(file)
    }
    #expect(text == contents(path))
  }

  @Test("The longest lines fit 100 columns, and nothing moves the cursor") func width() throws {
    let address = "[2001:db8:1234:5678:9abc:def0:1234:5678]:65535"
    let long = """
      {"id":1,"carrier":"icmp","local":"\(address)","remote":"\(address)\\u001b[2J",
       "state":"dialling","age":9e7,"silence":9e9,"roundTrip":9.9994,
       "loss":0.0999,"share":0.1667,
       "sent":{"segments":10,"bytes":5000,"datagrams":9},
       "received":{"segments":20,"bytes":9000,"datagrams":18},
       "rates":{"sent":{"segments":10,"bytes":1e12,"datagrams":9},
        "received":{"segments":20,"bytes":1e12,"datagrams":18}}}
      """
    var program = try Self.program(long)
    for reason in 0..<27 { program.drops["reasonNumber\(reason)"] = .max }
    let lines = StatusTable(program).text.split(separator: "\n")
    #expect(lines.filter { $0.count > 100 } == [])
    #expect(lines.allSatisfy { !$0.unicodeScalars.contains("\u{1b}") })
  }

  @Test("A channel whose TCP connection is ended on the way says so") func proxied() throws {
    let program = try Self.program(
      Self.channels.replacing("\"age\":65.2", with: "\"proxied\":true,\"age\":65.2"))
    #expect(program.sessions?[0].channels.map(\.proxied) == [true, nil])
    let lines = StatusTable(program).text.split(separator: "\n")
    #expect(lines.count { $0.contains(" tcp      proxied ") } == 1)
  }

  @Test("A server without a key is open to anyone, and says so") func open() throws {
    var program = try Self.program("")
    program.role = "server"
    program.protection = "none"
    let text = StatusTable(program).text
    #expect(text.contains("no key: anyone who can reach the ports can use this server"))
    #expect(text.contains("no channel"))
  }

  @Test(
    "Durations",
    arguments: [
      (0.0, "0s"), (59.9, "59s"), (60, "1m00s"), (3_599, "59m59s"), (3_600, "1h00m"),
      (86_399, "23h59m"), (86_400, "1d00h"), (1e30, "11574074d01h"), (-1, "0s"),
    ])
  func durations(seconds: Double, text: String) {
    #expect(StatusTable.duration(seconds) == text)
  }

  @Test(
    "Amounts",
    arguments: [
      (0.0, "0"), (999, "999"), (999.6, "1.0k"), (1_250, "1.3k"), (99_949, "99.9k"),
      (99_951, "100k"), (999_499, "999k"), (999_501, "1.0M"), (12_345_678_901, "12.3G"),
    ])
  func amounts(number: Double, text: String) {
    #expect(StatusTable.amount(number) == text)
  }

  @Test(
    "Percentages",
    arguments: [
      (0.0, "0%"), (0.0004, "0%"), (0.0005, "0.1%"), (0.0994, "9.9%"), (0.0996, "10%"),
      (0.1666, "17%"), (1, "100%"), (2, "100%"), (-1, "0%"),
    ])
  func percentages(part: Double, text: String) {
    #expect(StatusTable.percent(part) == text)
  }

  @Test("Rates are what was added, by the time between two answers") func rates() throws {
    let earlier = try Self.program(Self.channels)
    var later = earlier
    later.uptime += 0.5
    later.sessions?[0].channels[0].sent.bytes += 600
    later.sessions?[0].channels[0].sent.segments += 3
    // Another channel with the same four-tuple.
    later.sessions?[0].channels[1].id = 99
    later.sessions?[0].channels[1].rates = nil
    later.addRates(since: earlier)
    let channels = try #require(later.sessions?[0].channels)
    #expect(channels[0].rates?.sent.bytes == 1200 && channels[0].rates?.sent.segments == 6)
    #expect(channels[0].rates?.received.bytes == 0)
    #expect(channels[1].rates == nil)
  }

  @Test("What is no request is none") func requests() {
    let codec = ControlCodec.jsonLines
    for text in [
      "", "{}", "[]", "status", "{\"request\":1}", "{\"request\":\"quit\"}",
      "{\"request\":\"status\"",
      String(repeating: "[", count: 1024), "\u{0}",
    ] {
      #expect(codec.request(Array(text.utf8)[...]) == nil, "\(text)")
    }
    #expect(codec.request(Array("{\"request\":\"status\"}".utf8)[...]) == .status)
    #expect(codec.request(Array(" {\"request\" : \"stop\", \"more\": {}} ".utf8)[...]) == .stop)
  }

  @Test("Nobody to ask") func nobody() {
    let scratch = Scratch()
    for command in ["status", "reconnect", "stop"] {
      let outcome = scratch.rsock(command)
      #expect(
        outcome.errors == "rsock: No rsock of this user is running: there is no control socket in "
          + "\(scratch.path). Name another with --control.\n")
      #expect(outcome.status == 1 && outcome.output == "")
      let named = scratch.rsock(command, "--control=\(scratch.path)/none.sock")
      #expect(
        named.errors == "rsock: There is no control socket \(scratch.path)/none.sock: is rsock "
          + "running, and does it have that one?\n")
      #expect(named.status == 1)
    }
    let outcome = scratch.rsock("status", "--control=\(String(repeating: "x", count: 108))")
    #expect(outcome.errors.contains("Name a path of at most 107 bytes with --control"))
    #expect(outcome.status == 1)
  }
}
