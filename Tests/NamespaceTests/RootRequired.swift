// These tests need root (namespaces, capabilities), and say so by failing: a skipped test would
// look like a passed one.

import Glibc
import NamespaceSupport
import Testing

/// Makes a test fail where it does not run as root.
struct RootRequired: TestTrait, SuiteTrait {
  var isRecursive: Bool { true }

  func prepare(for test: Test) async throws {
    guard geteuid() == 0 else {
      throw Failure("namespace tests need root; `ci/test --unit` runs what does not")
    }
  }
}

extension Trait where Self == RootRequired {
  /// Makes a test fail where it does not run as root.
  static var root: Self { Self() }
}
