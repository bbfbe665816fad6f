import Testing
import Wire

@testable import LinkModel

@Suite struct CommandTests {
  @Test func settingsOfBothWaysAndOfOne() throws {
    var settings = Settings()
    for command in [
      "rate 1.5mbit queue 64k", "delay 40ms jitter 500us", "down delay 2s", "loss 0.25%",
      "up reorder 1% by 10ms", "police tcp 10mbit 1M", "down police tcp none", "up rate none",
    ] {
      let request = try settings.apply(command, at: .at(.zero))
      #expect(request == .nothing)
    }
    #expect(settings.ways.up.bottleneck == nil)
    let bottleneck = PathSettings.Bottleneck(rate: Rate(bitsPerSecond: 1_500_000), queue: 64_000)
    #expect(settings.ways.down.bottleneck == bottleneck)
    #expect(settings.ways.up.delay == .milliseconds(40))
    #expect(settings.ways.up.jitter == .microseconds(500))
    #expect(settings.ways.down.delay == .seconds(2) && settings.ways.down.jitter == .zero)
    #expect(settings.ways.down.loss == Share(millionths: 2500))
    #expect(settings.ways.up.reordering == Share(millionths: 10_000))
    #expect(settings.ways.down.reordering == Share())
    let policing = Policing(rate: Rate(bitsPerSecond: 10_000_000), burst: 1_000_000)
    #expect(settings.ways.up.policing == [.tcp: policing] && settings.ways.down.policing.isEmpty)
  }

  @Test func blackholesOpenAndClose() throws {
    var settings = Settings()
    for command in [
      "blackhole flow udp 4000 10001", "blackhole port 53", "blackhole port tcp 443",
      "blackhole flows after 16k", "blackhole ports udp 50% after 1M", "down blackhole larger 1400",
    ] {
      let request = try settings.apply(command, at: .at(.zero))
      #expect(request == .nothing)
    }
    let holes = settings.blackholes
    #expect(holes.tuples.count == 1 && holes.ports.map(\.scope.transport) == [nil, .tcp])
    #expect(holes.budget == .init(scope: Scope(), byteCount: 16_000))
    #expect(holes.portShare?.byteCount == 1_000_000)
    #expect(holes.largest.up == nil && holes.largest.down == 1400)
    _ = try settings.apply("blackhole none", at: .at(.zero))
    #expect(settings == Settings())
  }

  @Test func requests() throws {
    let link = try TestLink()
    #expect(try link.apply("counters") == .counters && link.apply("flows") == .flows)
    #expect(try link.apply("reset now") == .resets && link.apply("loss 1%") == .nothing)
  }

  @Test(arguments: [
    ("", "\"\": the end stands where a command (see --help) should"),
    ("delay", "\"delay\": the end stands where a time like 40ms or 2s should"),
    ("delay 40", "\"delay 40\": \"40\" stands where a time like 40ms or 2s should"),
    ("delay nans", "\"delay nans\": \"nans\" stands where a time like 40ms or 2s should"),
    ("loss 101%", "\"loss 101%\": \"101%\" stands where a share like 0.5% should"),
    ("loss 1% 2%", "\"loss 1% 2%\": \"2%\" stands where the end should"),
    ("rate 1mbit", "\"rate 1mbit\": the end stands where \"queue\" should"),
    ("rate -1mbit", "\"rate -1mbit\": \"-1mbit\" stands where a rate like 100mbit should"),
    ("up block udp", "\"up block udp\": \"block\" stands where a command (see --help) should"),
    ("block sctp", "\"block sctp\": \"sctp\" stands where tcp, udp or icmp should"),
    ("blackhole port 0", "\"blackhole port 0\": \"0\" stands where a port should"),
    ("blackhole nothing", "\"blackhole nothing\": \"nothing\" stands where \"ports\" should"),
  ])
  func whatIsWrongIsToldAndChangesNothing(command: String, sentence: String) throws {
    var settings = Settings()
    let error = #expect(throws: CommandError.self) { try settings.apply(command, at: .at(.zero)) }
    #expect(error?.description == sentence)
    #expect(settings == Settings())
  }

  @Test func helpNamesEveryCommand() {
    for word in [
      "rate", "delay", "jitter", "loss", "reorder", "police", "outage", "blackhole", "larger",
      "flow", "port", "flows", "ports", "block", "unblock", "reset", "counters",
    ] {
      let words = Settings.help.split { !$0.isLetter }
      #expect(words.contains(word[...]), "\(word)")
    }
  }

  @Test func countersAreReadAsTheyAreWritten() {
    var counters = Counters()
    for (index, count) in Count.allCases.enumerated() { counters[count] = index + 1 }
    #expect(Counters(parsing: counters.text) == counters)
    #expect(Counters(parsing: "arrived 1 nonsense 2") == nil)
    #expect(Counters(parsing: "arrived") == nil)
  }
}
