// A capture that tcpdump(8) writes, for other programs to read, and for a test that looks at every byte.
//
//   file    | magic a1b2c3d4 … 24 | record | record | …     (host byte order)
//   record  | time 8 | bytes here 4 | bytes on the wire 4 | Ethernet 14 | IPv4 …

import Glibc
import Wire

/// A tcpdump that runs, and the file that it writes.
public final class CaptureFile: Sendable {
  /// Where the file is.
  public let path: String
  private let process: ChildProcess

  /// Starts to capture TCP at a host, both directions.
  public init(at host: Host, to name: String) throws {
    path = try Installation.directory.get() + "/\(name)"
    // It would write as another user, who may not write there.
    process = try host.start(
      "tcpdump", "-i", Host.interface, "-Z", "root", "-B", "65536", "-s", "0", "-w", path, "tcp")
    try process.waitForText("listening on")
  }

  /// Ends it; throws where it missed a packet. Gives all that is in the file.
  public func finish() throws -> [UInt8] {
    // What has come lies in its buffer for up to a second.
    try pause(.milliseconds(1500))
    process.signal(SIGINT)
    guard try process.wait(atMost: .seconds(5)) == .exited(0),
      process.errors.contains("\n0 packets dropped by kernel")
    else { throw Failure("tcpdump: \(process.errors)") }
    return try bytesOfFile(path)
  }

  /// The IPv4 packets of a file.
  public static func packets(in file: [UInt8]) throws -> [[UInt8]] {
    let bytes = unsafe file.span.bytes
    guard bytes.byteCount >= 24, bytes.be32(at: 0).byteSwapped == 0xA1B2_C3D4 else {
      throw Failure("no capture file of this machine")
    }
    var packets: [[UInt8]] = []
    var offset = 24
    while offset + 16 <= bytes.byteCount {
      let count = Int(bytes.be32(at: offset + 8).byteSwapped)
      guard bytes.be32(at: offset + 12) == bytes.be32(at: offset + 8) else {
        throw Failure("a packet was cut short")
      }
      let start = offset + 16
      offset = start + count
      packets.append(Array(file[start + 14..<offset]))
    }
    return packets
  }
}
