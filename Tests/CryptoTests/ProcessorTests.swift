import Crypto
import Glibc
import Testing

@Suite struct ProcessorTests {
  /// What the kernel lists of the processor: "flags" on x86_64, "Features" on arm64.
  private func kernelsList() throws -> Set<Substring> {
    let file = unsafe open("/proc/cpuinfo", O_RDONLY)
    try #require(file >= 0)
    defer { close(file) }
    // The first processor's part is enough.
    var text = [UInt8](repeating: 0, count: 1 << 16)
    let count = unsafe read(file, &text, text.count)
    try #require(count > 0)
    let lines = String(decoding: text[..<count], as: UTF8.self).split(separator: "\n")
    let line = lines.first { $0.hasPrefix("flags") || $0.hasPrefix("Features") }
    return Set(try #require(line).split(separator: " "))
  }

  @Test func fastAESIsWhatTheKernelSays() throws {
    let list = try kernelsList()
    let multiplies = list.contains("pclmulqdq") || list.contains("pmull")
    #expect(CipherSuite.hasFastAES == (list.contains("aes") && multiplies))
  }
}
