// Received bytes of any kind: no length in them is believed.

import CMnl
import Kernel
import Samples
import Testing

@Suite struct NetlinkMessageTests {
  @Test func whatWasPutIsFound() {
    var request = NetlinkRequest(sequence: 7)
    request.begin(UInt16(RTM_NEWLINK), NLM_F_ACK, ifinfomsg())
    request.put(1, UInt8(0xAB))
    request.put(2, UInt16(0xABCD))
    request.put(3, "name")
    request.nest(4) { $0.put(5, UInt32(0xDEAD_BEEF)) }
    request.begin(UInt16(RTM_DELLINK), 0, ifinfomsg())
    guard let first = NetlinkMessage(request.bytes), let second = NetlinkMessage(first.rest) else {
      Issue.record("two messages")
      return
    }
    #expect(first.header.nlmsg_seq == 7 && second.header.nlmsg_seq == 7)
    #expect(Int(first.header.nlmsg_type) == RTM_NEWLINK)
    #expect(Int32(first.header.nlmsg_flags) == NLM_F_ACK | NLM_F_REQUEST)
    let attributes = first.attributes(behind: ifinfomsg.self)
    #expect(attributes.value(1, as: UInt8.self) == 0xAB)
    #expect(attributes.value(2, as: UInt16.self) == 0xABCD)
    #expect(attributes.value(2, as: UInt32.self) == nil)
    #expect(attributes.text(3) == "name")
    #expect(attributes.nested(4).value(5, as: UInt32.self) == 0xDEAD_BEEF)
    #expect(attributes.nested(9).value(5, as: UInt32.self) == nil)
    #expect(second.rest.byteCount == 0)
    #expect(second.attributes(behind: ifinfomsg.self).text(3) == nil)
  }

  /// 200,000 mutated messages: nothing is read outside of them (a trap would end the test), and
  /// walking them ends.
  @Test func mutatedMessagesAreReadWithinTheirBounds() {
    var random = SplitMix64(seed: 1)
    var request = NetlinkRequest(sequence: 1)
    for _ in 0..<3 {
      request.begin(UInt16(RTM_NEWLINK), 0, ifinfomsg())
      request.put(Int(IFLA_IFNAME), "eth0")
      request.put(Int(IFLA_MTU), UInt32(1500))
      request.nest(Int(IFLA_LINKINFO)) { $0.put(Int(IFLA_INFO_SLAVE_KIND), "bridge") }
    }
    var whole: [UInt8] = []
    for offset in 0..<request.bytes.byteCount {
      whole.append(unsafe request.bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self))
    }
    var links = 0
    for _ in 0..<200_000 {
      var bytes = whole
      for _ in 0..<Int.random(in: 0...4, using: &random) {
        bytes[Int.random(in: 0..<bytes.count, using: &random)] = .random(
          in: 0...255, using: &random)
      }
      bytes.removeLast(Int.random(in: 0...bytes.count, using: &random))
      links += walk(bytes)
    }
    #expect(links > 10_000)
  }

  private func walk(_ bytes: [UInt8]) -> Int {
    var names = 0
    var rest = unsafe bytes.span.bytes
    while let message = NetlinkMessage(rest) {
      rest = message.rest
      let attributes = message.attributes(behind: ifinfomsg.self)
      _ = attributes.nested(Int(IFLA_LINKINFO)).text(Int(IFLA_INFO_SLAVE_KIND))
      _ = attributes.value(Int(IFLA_MTU), as: UInt32.self)
      names += attributes.text(Int(IFLA_IFNAME)) == nil ? 0 : 1
    }
    return names
  }
}
