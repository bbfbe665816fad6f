import Samples

/// The samples' generator: Engine has one of the same name for itself.
typealias SplitMix64Samples = Samples.SplitMix64
