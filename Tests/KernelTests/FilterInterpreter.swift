// A classic BPF machine written from the documentation (networking/filter.rst), the reference for
// programs of the assembler.

import CLinux
import Kernel

/// A packet as the kernel's socket filter sees it.
struct FilteredPacket {
  /// The bytes from the link header on.
  var bytes: [UInt8]
  /// Where the network header starts, for `SKF_NET_OFF`.
  var networkOffset: Int
  /// How many bytes are in the linear part, where older kernels stop for `SKF_NET_OFF`.
  var linear: Int
  var packetType: UInt32 = UInt32(PACKET_HOST)
  var hardwareType: UInt32 = UInt32(ARPHRD_ETHER)
}

/// What a program made of a packet: how many bytes it accepts, or why it is no program.
enum FilterResult: Equatable {
  case accepted(UInt32)
  case invalid(String)
}

func interpret(_ program: [sock_filter], _ packet: FilteredPacket) -> FilterResult {
  var a: UInt32 = 0
  var x: UInt32 = 0
  var memory = [UInt32?](repeating: nil, count: Int(BPF_MEMWORDS))
  var counter = 0
  while counter < program.count {
    let instruction = program[counter]
    let k = instruction.k
    counter += 1
    switch Int32(instruction.code) {
    case BPF_LDX | BPF_IMM: x = k
    case BPF_LD | BPF_IMM: a = k
    case BPF_MISC | BPF_TAX: x = a
    case BPF_ST: memory[Int(k)] = a
    case BPF_LD | BPF_MEM:
      guard let value = memory[Int(k)] else { return .invalid("memory \(k) was not stored") }
      a = value
    case BPF_ALU | BPF_ADD | BPF_K: a &+= k
    case BPF_ALU | BPF_AND | BPF_K: a &= k
    case BPF_ALU | BPF_LSH | BPF_K: a <<= k
    case BPF_ALU | BPF_ADD | BPF_X: a &+= x
    case BPF_RET | BPF_K: return .accepted(k)
    case BPF_JMP | BPF_JA: counter += Int(k)
    case BPF_JMP | BPF_JEQ | BPF_K: counter += Int(a == k ? instruction.jt : instruction.jf)
    case BPF_JMP | BPF_JGT | BPF_K: counter += Int(a > k ? instruction.jt : instruction.jf)
    case BPF_JMP | BPF_JGE | BPF_K: counter += Int(a >= k ? instruction.jt : instruction.jf)
    case BPF_JMP | BPF_JSET | BPF_K: counter += Int(a & k != 0 ? instruction.jt : instruction.jf)
    case BPF_LD | BPF_ABS | BPF_W where k == UInt32(bitPattern: SKF_AD_OFF + SKF_AD_PKTTYPE):
      a = packet.packetType
    case BPF_LD | BPF_ABS | BPF_W where k == UInt32(bitPattern: SKF_AD_OFF + SKF_AD_HATYPE):
      a = packet.hardwareType
    case BPF_LD | BPF_ABS | BPF_W:
      guard let value = load(packet, k, 4) else { return .accepted(0) }
      a = value
    case BPF_LD | BPF_IND | BPF_W:
      guard let value = load(packet, x &+ k, 4) else { return .accepted(0) }
      a = value
    case BPF_LD | BPF_IND | BPF_H:
      guard let value = load(packet, x &+ k, 2) else { return .accepted(0) }
      a = value
    case BPF_LD | BPF_IND | BPF_B:
      guard let value = load(packet, x &+ k, 1) else { return .accepted(0) }
      a = value
    default: return .invalid("code \(instruction.code)")
    }
  }
  return .invalid("ran off the end")
}

/// `bpf_skb_load_helper_*`: from the start of the bytes, or from the network header below zero.
private func load(_ packet: FilteredPacket, _ offset: UInt32, _ width: Int) -> UInt32? {
  let signed = Int(Int32(bitPattern: offset))
  let start = signed >= 0 ? signed : signed - Int(SKF_NET_OFF) + packet.networkOffset
  let end = signed >= 0 ? packet.bytes.count : packet.linear
  guard start >= 0, start + width <= end else { return nil }
  return packet.bytes[start..<start + width].reduce(0) { $0 << 8 | UInt32($1) }
}
