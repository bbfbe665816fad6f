// Whether the kernel answers pings at all.

import Glibc

/// The kernel's settings for ICMP echo (ip(7), ip-sysctl).
public enum EchoSettings {
  private static let names = ["net.ipv4.icmp_echo_ignore_all", "net.ipv6.icmp.echo_ignore_all"]

  /// What makes it answer none.
  public static var remedy: String {
    names.map { $0 + "=1" }.joined(separator: " and ")
  }

  /// Whether it answers none, of either family that it has.
  public static var areIgnored: Bool {
    names.allSatisfy { name in
      let path = "/proc/sys/" + String(name.map { $0 == "." ? "/" : $0 })
      let file = Descriptor(owning: unsafe open(path, O_RDONLY | O_CLOEXEC))
      guard file.rawValue >= 0 else { return errno == ENOENT }
      var byte: UInt8 = 0
      return unsafe read(file.rawValue, &byte, 1) == 1 && byte == UInt8(ascii: "1")
    }
  }
}
