//! Load generator, bare references and benchmarks of Linnet.
