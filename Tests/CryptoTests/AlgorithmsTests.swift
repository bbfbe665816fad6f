import Crypto
import Glibc
import Samples
import Testing

@Suite struct AlgorithmsTests {
  /// With that file and without its own start libcrypto has no ciphers.
  private static let configuration = """
    openssl_conf = all
    [all]
    providers = list
    [list]
    null = on
    [on]
    activate = 1

    """

  @Test("What a host's openssl.cnf says does not matter")
  func configurationIsIgnored() async {
    await #expect(processExitsWith: .success) {
      var path = Array("/tmp/rsock-test-XXXXXX".utf8CString)
      let file = unsafe mkstemp(&path)
      try #require(file >= 0)
      let text = Array(Self.configuration.utf8)
      let written = unsafe write(file, text, text.count)
      unsafe setenv("OPENSSL_CONF", path, 1)
      _ = AEAD(.aes256GCM, key: SecretKey { _ in }, for: .sealing)
      unsafe unlink(path)
      try #require(written == text.count)
    }
  }
}
