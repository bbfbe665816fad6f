// What the kernel answers to a request: elements, and whether and why it refused.

import CMnl

/// What the kernel answered so far.
struct NetlinkAnswer<Element> {
  private(set) var elements: [Element] = []
  private(set) var failure: NetlinkFailure?
  /// Whether the kernel's table changed during the dump.
  private(set) var isInterrupted = false

  /// Takes a packet of messages: of those that answer the request `sequence` of the socket `port`
  /// the elements that `parse` finds.
  mutating func read(
    _ bytes: RawSpan, sequence: UInt32, port: UInt32,
    _ parse: (borrowing NetlinkMessage) -> Element?
  ) {
    var rest = bytes
    while let message = NetlinkMessage(rest) {
      rest = message.rest
      guard message.header.nlmsg_seq == sequence, message.header.nlmsg_pid == port else { continue }
      isInterrupted = isInterrupted || message.header.nlmsg_flags & UInt16(NLM_F_DUMP_INTR) != 0
      switch Int32(message.header.nlmsg_type) {
      case NLMSG_ERROR, NLMSG_DONE: failure = failure ?? NetlinkFailure(message)
      case NLMSG_NOOP, NLMSG_OVERRUN: continue
      default: if let element = parse(message) { elements.append(element) }
      }
    }
  }
}

/// The kernel's refusal.
struct NetlinkFailure {
  private let code: Int32
  private let words: String?

  /// Nil where the message says that all went well. `NLMSG_DONE` has a code too where a dump
  /// failed on the way.
  init?(_ message: borrowing NetlinkMessage) {
    guard let negative = message.prefix(Int32.self), negative < 0 else { return nil }
    code = Int32(clamping: negative.magnitude)
    let hasWords = message.header.nlmsg_flags & UInt16(NLM_F_ACK_TLVS) != 0
    if hasWords, Int32(message.header.nlmsg_type) == NLMSG_ERROR {
      words = message.attributes(behind: nlmsgerr.self).text(Int(NLMSGERR_ATTR_MSG.rawValue))
    } else {
      words = nil
    }
  }

  /// The error of a call that tried `verb`.
  func error(_ verb: String) -> SystemError {
    SystemError(call: verb, code: code, remedy: words.map { "The kernel says: \($0)" })
  }
}
