// What an answer comes to.

import CMnl
import Glibc
import Testing

@testable import Kernel

@Suite struct NetlinkAnswerTests {
  private static func answer(
    error: Int32, flags: Int32 = 0, _ words: String? = nil
  ) -> NetlinkAnswer<Int> {
    var header = nlmsgerr()
    header.error = error
    var request = NetlinkRequest(sequence: 1)
    request.begin(UInt16(NLMSG_ERROR), flags, header)
    if let words { request.put(Int(NLMSGERR_ATTR_MSG.rawValue), words) }
    var answer = NetlinkAnswer<Int>()
    answer.read(request.bytes, sequence: 1, port: 0) { _ in 1 }
    return answer
  }

  @Test func aRefusalHasTheKernelsWords() {
    let answer = Self.answer(error: -EPERM, flags: NLM_F_ACK_TLVS, "not today")
    let error = answer.failure?.error("ask")
    #expect(error == SystemError(call: "ask", code: EPERM, remedy: "The kernel says: not today"))
    #expect(answer.elements.isEmpty)
  }

  @Test func noErrorIsNoFailure() {
    #expect(Self.answer(error: 0).failure == nil)
    #expect(Self.answer(error: 7).failure == nil)
  }

  /// Found by fuzzing: the smallest number has no counterpart.
  @Test func anyNumberIsAnError() {
    #expect(Self.answer(error: .min).failure?.error("ask").code == .max)
    #expect(Self.answer(error: -.max).failure?.error("ask").code == .max)
  }
}
