// The judge of windows, against what the kernel's own TCP does and against wrong segments.

import NamespaceSupport
import Testing
import Wire

@Suite struct WindowJudgeTests {
  @Test func acceptsAnOrdinaryConnection() {
    var talk = Conversation()
    talk.open()
    talk.client(1000)
    talk.server(500)
    talk.client(0)
    #expect(talk.judge.invalid == 0, "\(talk.judge)")
    #expect(talk.judge.segments == 7)
  }

  @Test func acceptsAConnectionAcrossTheWrap() {
    var talk = Conversation(clientISN: 0xFFFF_FF00, serverISN: 0xFFFF_FFF0)
    talk.open()
    for _ in 0..<10 { talk.client(1000) }
    talk.server(100)
    #expect(talk.judge.invalid == 0, "\(talk.judge)")
  }

  @Test func rejectsAFirstSegmentThatSkipsTheWindow() {
    var talk = Conversation()
    talk.open()
    talk.clientSequence &+= 65_536 << 7
    talk.client(1000)
    #expect(talk.judge.examples.first?.hasPrefix("I:") == true, "\(talk.judge)")
  }

  @Test func forgivesWhatReachesOverButNotWhatStartsBehindTheWindow() {
    var talk = Conversation()
    talk.open(serverWindow: 1000)
    talk.client(1400)
    #expect(talk.judge.invalid == 0, "starts inside: \(talk.judge)")
    talk.client(1400)
    #expect(talk.judge.invalid == 1, "starts behind 1000: \(talk.judge)")
  }

  @Test func rejectsAnAcknowledgementOfWhatWasNeverSent() {
    var talk = Conversation()
    talk.open()
    talk.client(1000)
    talk.clientSequence &+= 1
    talk.server(500)
    #expect(talk.judge.examples.first?.hasPrefix("III:") == true, "\(talk.judge)")
  }

  @Test func rejectsAnAcknowledgementThatNeverMoves() {
    var talk = Conversation()
    talk.open(serverWindow: 60_000)
    let stale = talk.clientSequence
    for _ in 0..<80 {
      talk.client(1000)
      talk.server(0, window: 500)
    }
    #expect(talk.judge.invalid == 0, "\(talk.judge)")
    talk.clientSequence = stale
    talk.server(0, window: 500)
    #expect(talk.judge.examples.first?.hasPrefix("IV:") == true, "\(talk.judge)")
  }

  @Test func rejectsARetransmissionOfWhatIsLongAcknowledged() {
    var talk = Conversation()
    talk.open(serverWindow: 1000)
    let first = talk.clientSequence
    for _ in 0..<10 {
      talk.client(1000)
      talk.server(0, window: 7)
    }
    talk.clientSequence = first
    talk.client(1000)
    #expect(talk.judge.examples.first?.hasPrefix("II:") == true, "\(talk.judge)")
  }

  @Test func rejectsDataBeforeTheHandshake() {
    var talk = Conversation()
    talk.client(10)
    #expect(talk.judge.invalid == 1)
  }

  @Test func allowsTheScaledWindowAndNoMore() {
    var talk = Conversation()
    talk.open()
    for _ in 0..<140 { talk.client(60_000) }
    #expect(talk.judge.invalid == 0, "starts within 65,535 << 7: \(talk.judge)")
    talk.client(60_000)
    #expect(talk.judge.invalid == 1, "\(talk.judge)")
  }
}

/// Two well-behaved ends whose fields a test may spoil.
private struct Conversation {
  let clientEnd = Endpoint(IPAddress(ipv4: 0x0A4D_0101), 40000)
  let serverEnd = Endpoint(IPAddress(ipv4: 0x0A4D_0102), 443)
  var clientSequence: UInt32
  var serverSequence: UInt32
  var judge = WindowJudge()
  private var serverWindow: UInt16 = 65_535

  init(clientISN: UInt32 = 1000, serverISN: UInt32 = 9000) {
    clientSequence = clientISN
    serverSequence = serverISN
  }

  /// The three segments of a handshake with window scale 7.
  mutating func open(serverWindow: UInt16 = 65_535) {
    self.serverWindow = serverWindow
    judge.observe(
      CapturedSegment(
        from: clientEnd, to: serverEnd, sequence: clientSequence, acknowledgement: 0,
        flags: .syn, window: 64_240, windowScale: 7))
    clientSequence &+= 1
    judge.observe(
      CapturedSegment(
        from: serverEnd, to: clientEnd, sequence: serverSequence,
        acknowledgement: clientSequence, flags: [.syn, .ack], window: serverWindow,
        windowScale: 7))
    serverSequence &+= 1
    client(0)
    if serverWindow == 65_535 { server(0) }
  }

  mutating func client(_ count: Int) {
    judge.observe(
      CapturedSegment(
        from: clientEnd, to: serverEnd, sequence: clientSequence,
        acknowledgement: serverSequence, flags: .ack, window: 65_535, payloadCount: count))
    clientSequence &+= UInt32(count)
  }

  mutating func server(_ count: Int, window: UInt16? = nil) {
    judge.observe(
      CapturedSegment(
        from: serverEnd, to: clientEnd, sequence: serverSequence,
        acknowledgement: clientSequence, flags: .ack, window: window ?? serverWindow,
        payloadCount: count))
    serverSequence &+= UInt32(count)
  }
}
