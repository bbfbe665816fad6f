// A classic BPF program for a socket (socket(7), SO_ATTACH_FILTER).

public import CLinux
import Glibc

/// A classic BPF program that says which packets a socket receives.
public struct SocketFilter: Sendable {
  /// The program.
  public let instructions: [sock_filter]

  /// A filter from its program, which the kernel checks when it is attached.
  public init(instructions: [sock_filter]) { self.instructions = instructions }

  /// The filter that accepts nothing.
  public static let nothing = SocketFilter(instructions: [
    sock_filter(code: UInt16(BPF_RET | BPF_K), jt: 0, jf: 0, k: 0)
  ])

  /// Puts the filter on a socket, in the place of one that is there already: no packet passes
  /// unfiltered in between (`sk_attach_filter` swaps the pointer).
  public func attach(to socket: Int32) throws(SystemError) {
    var instructions = instructions
    try check("attach a socket filter") {
      unsafe instructions.withUnsafeMutableBufferPointer { buffer in
        var program = unsafe sock_fprog(len: UInt16(buffer.count), filter: buffer.baseAddress)
        return unsafe setsockopt(
          socket, SOL_SOCKET, SO_ATTACH_FILTER, &program, socklen_t(MemoryLayout<sock_fprog>.size))
      }
    }
  }
}
