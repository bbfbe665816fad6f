// Names of hosts (getaddrinfo(3)). It opens files, loads modules and waits: not for the loop to call.

import CLinux
import Glibc

/// Asks the system for the addresses of a name.
public enum NameLookup {
  /// The addresses of `name` as text, in the order in which they are to be tried (RFC 6724); where there
  /// are none, the error of getaddrinfo(3), which is negative.
  public static func addresses(of name: String) -> (texts: [String], error: Int32) {
    var hints = unsafe addrinfo()
    unsafe hints.ai_socktype = Int32(SOCK_DGRAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    let code = unsafe getaddrinfo(name, nil, &hints, &list)
    guard code == 0 else { return ([], code) }
    defer { unsafe freeaddrinfo(list) }
    var texts: [String] = []
    var next = unsafe list
    while let entry = unsafe next {
      if let text = unsafe text(of: entry.pointee), !texts.contains(text) { texts.append(text) }
      unsafe next = entry.pointee.ai_next
    }
    return (texts, 0)
  }

  private static func text(of entry: addrinfo) -> String? {
    var text = [CChar](repeating: 0, count: 64)
    let code = unsafe getnameinfo(
      entry.ai_addr, entry.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
    guard code == 0 else { return nil }
    return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
