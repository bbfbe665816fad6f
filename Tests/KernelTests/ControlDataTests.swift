// Control messages (cmsg(3)) of any kind: no length in them is believed.

import CLinux
import Testing

@Suite struct ControlDataTests {
  private static let level = SOL_UDP
  private static let kind = UDP_GRO

  /// One control message of `length` bytes by its own account, with the data 7.
  private static func control(length: Int) -> [UInt64] {
    [
      UInt64(length), UInt64(UInt32(bitPattern: Self.level)) | UInt64(Self.kind) << 32, 7,
    ]
  }

  /// Looks for `Value` in the first `count` bytes of the control data.
  private static func find<Value: BitwiseCopyable>(
    _ type: Value.Type, in control: [UInt64], count: Int
  ) -> Value? {
    var control = control
    return unsafe control.withUnsafeMutableBytes { buffer in
      var message = unsafe msghdr()
      unsafe message.msg_control = buffer.baseAddress
      unsafe message.msg_controllen = count
      return unsafe rs_control_data(&message, level, kind, MemoryLayout<Value>.size)?
        .loadUnaligned(as: type)
    }
  }

  @Test func dataIsFound() {
    #expect(Self.find(Int32.self, in: Self.control(length: 20), count: 24) == 7)
    #expect(Self.find(Int32.self, in: Self.control(length: 20), count: 20) == 7)
  }

  @Test func aLengthBeyondTheBufferIsNotBelieved() {
    #expect(Self.find(Int32.self, in: Self.control(length: 20), count: 19) == nil)
    #expect(Self.find(UInt64.self, in: Self.control(length: 24), count: 23) == nil)
    #expect(Self.find(Int32.self, in: Self.control(length: 1 << 40), count: 16) == nil)
  }

  @Test func aLengthBelowTheHeadersEndsTheSearch() {
    #expect(Self.find(Int32.self, in: Self.control(length: 0), count: 24) == nil)
    #expect(Self.find(Int32.self, in: Self.control(length: 19), count: 24) == nil)
    #expect(Self.find(Int32.self, in: [], count: 0) == nil)
  }
}
