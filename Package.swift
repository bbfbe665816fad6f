// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .strictMemorySafety(),
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  .enableExperimentalFeature("Lifetimes"),
]

let argumentParser = Target.Dependency.product(
  name: "ArgumentParser", package: "swift-argument-parser")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")

let package = Package(
  name: "rsock",
  products: [.executable(name: "rsock", targets: ["rsock"])],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
  ],
  targets: [
    // The program. docs/architecture.md says which module may import which, and why.
    .target(name: "Wire", swiftSettings: settings),
    .target(name: "Crypto", dependencies: ["CCrypto"], swiftSettings: settings),
    .target(name: "Engine", dependencies: ["Wire", "Crypto"], swiftSettings: settings),
    .target(
      name: "Kernel", dependencies: ["Wire", "CLinux", "CMnl", "CCap"], swiftSettings: settings),
    .target(
      name: "Driver", dependencies: ["Engine", "Kernel", "Crypto", "Wire", logging],
      swiftSettings: settings),
    .executableTarget(
      name: "rsock", dependencies: ["Driver", "Engine", "Wire", argumentParser],
      swiftSettings: settings),

    // C headers and what Swift cannot import of them.
    .target(
      name: "CLinux", cSettings: [.treatAllWarnings(as: .error), .enableWarning("all")]),
    .systemLibrary(name: "CMnl", pkgConfig: "libmnl", providers: [.apt(["libmnl-dev"])]),
    .systemLibrary(name: "CCap", pkgConfig: "libcap", providers: [.apt(["libcap-dev"])]),
    .systemLibrary(name: "CCrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),

    // Real packets between network namespaces: the tools, the tests, and ci/bench's traffic.
    .target(name: "CSockets", path: "Tests/CSockets"),
    .target(
      name: "NamespaceSupport", dependencies: ["Wire", "CSockets", "LinkModel"],
      path: "Tests/NamespaceSupport", swiftSettings: settings),
    .executableTarget(
      name: "Traffic", dependencies: ["NamespaceSupport", "Wire"], path: "Tests/Traffic",
      swiftSettings: settings),
    .testTarget(
      name: "NamespaceTests",
      dependencies: [
        "NamespaceSupport", "LinkModel", "Engine", "Crypto", "Wire", "rsock", "SandboxProbe",
        "LinkEmulator",
      ],
      swiftSettings: settings),

    // A bad network between two veth ends: what it does to packets, and the program that moves them.
    .target(
      name: "LinkModel", dependencies: ["Samples", "Wire"], path: "Tests/LinkModel",
      swiftSettings: settings),
    .executableTarget(
      name: "LinkEmulator", dependencies: ["LinkModel", "NamespaceSupport", "CSockets", "Wire"],
      path: "Tests/LinkEmulator", swiftSettings: settings),
    // ci/bench wan: kcptun with and without rsock on such networks.
    .executableTarget(
      name: "WanBench", dependencies: ["NamespaceSupport", "LinkModel", "Plot", "Wire"],
      path: "Tests/WanBench", swiftSettings: settings),
    .target(name: "Plot", path: "Tests/Plot", swiftSettings: settings),
    .testTarget(name: "PlotTests", dependencies: ["Plot"], swiftSettings: settings),
    .testTarget(
      name: "LinkModelTests", dependencies: ["LinkModel", "Samples", "Wire"],
      swiftSettings: settings),

    // Makes one call inside the sandbox, or dies of it.
    .target(name: "CSystemCalls", path: "Tests/CSystemCalls"),
    .executableTarget(
      name: "SandboxProbe", dependencies: ["Kernel", "Wire", "CLinux", "CSystemCalls"],
      path: "Tests/SandboxProbe", swiftSettings: settings),

    // What several test targets share.
    .target(name: "Samples", path: "Tests/Samples", swiftSettings: settings),
    .target(
      name: "AllocationCounter", path: "Tests/AllocationCounter",
      cSettings: [.treatAllWarnings(as: .error), .enableWarning("all")]),
    .target(
      name: "EnginePair", dependencies: ["Engine", "Crypto", "Wire"], path: "Tests/EnginePair",
      swiftSettings: settings),

    .testTarget(
      name: "WireTests", dependencies: ["Wire", "Samples", "AllocationCounter"],
      swiftSettings: settings),
    .testTarget(
      name: "CryptoTests", dependencies: ["Crypto", "Samples", "AllocationCounter"],
      swiftSettings: settings),
    .testTarget(
      name: "RSockTests",
      dependencies: ["rsock", "Driver", "Engine", "Wire", "Samples", argumentParser],
      exclude: ["Golden"], swiftSettings: settings),
    .testTarget(
      name: "DriverTests",
      dependencies: ["Driver", "Engine", "Crypto", "Wire", "Samples", logging],
      swiftSettings: settings),
    .testTarget(
      name: "KernelTests",
      dependencies: ["Kernel", "Wire", "CLinux", "CMnl", "CCap", "SandboxProbe", "Samples"],
      swiftSettings: settings),
    .testTarget(
      name: "EngineTests",
      dependencies: ["Engine", "Wire", "Crypto", "EnginePair", "Samples", "AllocationCounter"],
      swiftSettings: settings),
    .testTarget(
      name: "SimulationTests", dependencies: ["Engine", "Crypto", "Wire", "Samples"],
      swiftSettings: settings),
    .executableTarget(
      name: "EngineBench", dependencies: ["EnginePair"], path: "Tests/EngineBench",
      swiftSettings: settings),
  ]
)

// With RSOCK_FUZZ set, as ci/fuzz does it, the package is the fuzz targets. They can be linked with
// the fuzzer's library only. An executable cannot import another one, so the program is a library
// there, without its commands.
if Context.environment["RSOCK_FUZZ"] != nil {
  package.products = [.executable(name: "Fuzz", targets: ["Fuzz"])]
  package.targets.removeAll { $0.type == .test || $0.type == .executable }
  package.targets += [
    .target(
      name: "rsock", dependencies: ["Driver", "Engine", "Wire"],
      exclude: ["RSock.swift", "Commands"],
      swiftSettings: settings),
    .systemLibrary(name: "CFuzzer", path: "Fuzz/CFuzzer"),
    .executableTarget(
      name: "Fuzz",
      dependencies: [
        "rsock", "Crypto", "Engine", "Kernel", "Wire", "CLinux", "CMnl", "Samples", "CFuzzer",
      ],
      path: "Fuzz/Sources", swiftSettings: settings),
  ]
}

// One value of _GNU_SOURCE for every module and for Glibc, or their copies of a C type differ.
for target in package.targets where target.type != .system && target.name != "CLinux" {
  target.cSettings = (target.cSettings ?? []) + [.define("_GNU_SOURCE")]
}
