// swift-tools-version: 6.0
import PackageDescription

// The CPU that the code is generated for: an x86-64 level (x86-64-v2, -v3, -v4) or "native". "generic" has no code for particular
// processors. The Makefile passes the level of the machine. A plain `swift build` uses a level that most machines support.
#if arch(x86_64)
  let cpu = Context.environment["COVERTREE_CPU"] ?? "x86-64-v3"
  let architecture =
    cpu == "generic" ? ["-Xcc", "-march=x86-64", "-Xcc", "-DCOVERTREE_GENERIC"] : ["-Xcc", "-march=\(cpu)"]
#else
  let architecture = ["-Xcc", "-DCOVERTREE_GENERIC"]
#endif

// -fno-math-errno makes a square root one instruction. -v4 uses 512-bit vectors only with -mprefer-vector-width=512. Vectors are passed
// only between inlined functions, so the ABI warning -Wpsabi is irrelevant.
let codeGeneration: [String] =
  architecture + ["-Xcc", "-fno-math-errno", "-Xcc", "-mprefer-vector-width=512", "-Xcc", "-Wno-psabi"]

// Release builds do not check exclusive access, which takes a tenth of the time of a call of some microseconds. Debug builds check it.
let unchecked = SwiftSetting.unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release))

// Calls that the linker redirects to CReserve.
let wrapped = [
  "malloc", "calloc", "realloc", "posix_memalign", "malloc_usable_size", "free", "_Znwm", "_ZdlPvm",
]

let package = Package(
  name: "covertree",
  products: [
    .library(name: "covertree", type: .dynamic, targets: ["CABI"])
  ],
  targets: [
    .systemLibrary(name: "CCovertree", path: "include"),
    .systemLibrary(name: "CNumerics", path: "Sources/CNumerics"),
    .systemLibrary(
      name: "CSQLite", path: "Sources/CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
    .target(
      name: "CovertreeBase",
      dependencies: ["CNumerics"],
      swiftSettings: [.unsafeFlags(codeGeneration), unchecked]
    ),
    .target(
      name: "CovertreeFiles",
      dependencies: ["CNumerics", "CovertreeBase"],
      swiftSettings: [.unsafeFlags(codeGeneration), unchecked]
    ),
    .target(
      name: "Covertree",
      dependencies: ["CNumerics", "CovertreeBase", "CovertreeFiles"],
      swiftSettings: [.unsafeFlags(codeGeneration), unchecked]
    ),
    .target(
      name: "CovertreeStore",
      dependencies: ["CNumerics", "CSQLite", "Covertree", "CovertreeBase", "CovertreeFiles"],
      swiftSettings: [.unsafeFlags(codeGeneration), unchecked]
    ),
    .target(name: "CReserve"),
    .target(
      name: "CABI",
      dependencies: [
        "CCovertree", "CNumerics", "CReserve", "Covertree", "CovertreeBase", "CovertreeFiles", "CovertreeStore",
      ],
      exclude: ["exports.map"],
      swiftSettings: [
        .unsafeFlags(codeGeneration), unchecked,
        .enableExperimentalFeature("CImplementation"),
      ],
      // One self-contained library: it contains the Swift runtime and exports only covertree_*.
      linkerSettings: [
        .unsafeFlags(
          [
            "-static-stdlib",
            "-Xlinker", "--version-script=\(Context.packageDirectory)/Sources/CABI/exports.map",
            "-Xlinker", "-soname=libcovertree.so.1",
            // dlclose must not unload it: its threads never end, and other threads that used it run its code when they end.
            "-Xlinker", "-z", "-Xlinker", "nodelete",
          ] + wrapped.flatMap { ["-Xlinker", "--wrap=\($0)"] })
      ]
    ),
    .testTarget(
      name: "CovertreeTests", dependencies: ["Covertree", "CovertreeBase", "CovertreeFiles", "CovertreeStore"],
      swiftSettings: [.unsafeFlags(codeGeneration)]
    ),
  ]
)
