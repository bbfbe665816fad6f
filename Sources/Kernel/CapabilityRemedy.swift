// Why a capability is missing, and what to do: one sentence for an error.

import CCap
import CLinux
import Glibc

extension Capabilities {
  /// One sentence that says how to get capabilities that are missing: the setcap line, or what
  /// keeps that from working here.
  public static func missingRemedy(for set: CapabilitySet) -> String {
    if rs_prctl(PR_GET_NO_NEW_PRIVS, 0) == 1 {
      return "no_new_privs is set, so a program's file capabilities do not count: "
        + "start rsock without it (NoNewPrivileges=no, or no --security-opt no-new-privileges)"
    }
    let unbounded = CapabilitySet.table.filter {
      set.contains($0.set) && cap_get_bound($0.value) == 0
    }
    if let first = unbounded.first {
      let names = unbounded.map(\.name).joined(separator: " and ")
      return "The bounding set lacks \(names): "
        + "start the container with --cap-add=\(first.name.dropFirst(4)), "
        + "or set CapabilityBoundingSet= of the unit"
    }
    let path = executablePath()
    if let mount = nosuidMount(of: path) {
      return "\(mount) is mounted nosuid, where file capabilities do not count: "
        + "move \(path) elsewhere, for example to /usr/local/bin, "
        + "and run \(setcapLine("/usr/local/bin/rsock"))"
    }
    return "Give the binary \(set): \(setcapLine(path))"
  }

  private static func setcapLine(_ path: String) -> String {
    "sudo setcap cap_net_raw,cap_net_admin,cap_net_bind_service=p \(path)"
  }

  /// The path of the running program.
  static func executablePath() -> String {
    let capacity = Int(PATH_MAX)
    return unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: capacity) { buffer in
      let count = unsafe readlink("/proc/self/exe", buffer.baseAddress!, capacity)
      guard count > 0 else { return "/path/to/rsock" }
      return unsafe String(
        decoding: UnsafeRawBufferPointer(start: buffer.baseAddress, count: count), as: UTF8.self)
    }
  }

  /// The mount point that `path` lies on, where it is mounted nosuid.
  static func nosuidMount(of path: String) -> String? {
    var status = statvfs()
    guard unsafe statvfs(path, &status) == 0, status.f_flag & UInt(ST_NOSUID) != 0
    else { return nil }
    return mountPoint(of: path, in: contents(of: "/proc/thread-self/mounts")) ?? "Its file system"
  }

  /// The mount point of `path` in the text of /proc/thread-self/mounts (fstab(5)): the longest that `path`
  /// starts with.
  static func mountPoint(of path: String, in mounts: String) -> String? {
    mounts.split(separator: "\n").compactMap { line -> String? in
      let fields = line.split(separator: " ")
      guard fields.count > 1 else { return nil }
      let point = unescape(fields[1])
      let isAbove = point == "/" || path == point || path.hasPrefix(point + "/")
      return isAbove ? point : nil
    }.max { $0.utf8.count < $1.utf8.count }
  }

  /// A blank in a mount point stands as \040 there.
  private static func unescape(_ field: Substring) -> String {
    var bytes: [UInt8] = []
    var rest = Substring(field).utf8[...]
    while let byte = rest.popFirst() {
      let digits = rest.prefix(3)
      if byte == UInt8(ascii: "\\"), digits.count == 3,
        let code = UInt8(String(Substring(digits)), radix: 8)
      {
        bytes.append(code)
        rest.removeFirst(3)
      } else {
        bytes.append(byte)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// The text of a small file; empty where it cannot be read.
  private static func contents(of path: String) -> String {
    let number = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard number >= 0 else { return "" }
    let file = Descriptor(owning: number)
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = retryingInterrupts { unsafe read(number, &chunk, chunk.count) }
      guard count > 0 else { break }
      bytes += chunk[..<count]
    }
    _ = consume file
    return String(decoding: bytes, as: UTF8.self)
  }
}
