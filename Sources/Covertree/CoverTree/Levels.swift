import Glibc

/// Levels of the tree are powers of two, and distances are scores: level `i` has the radius `2^i`, `4^i` squared. Squares of powers of
/// two are exact, and so is every comparison with a radius.

/// `4^level`; infinity or zero beyond the range of a float64.
@inline(__always)
func squaredRadius(ofLevel level: Int32) -> Double { scalbn(1.0, 2 * level) }

/// The score of the radius `2^level`.
@inline(__always)
func radiusScore(ofLevel level: Int32) -> Double {
  let square = squaredRadius(ofLevel: level)
  guard square < Score.leastSquare else { return square }
  return Score.ofMagnified(square: squaredRadius(ofLevel: level + Int32(Score.magnification.exponent)))
}

/// The highest level whose radius is below a distance that is not zero, by its score.
@inline(__always)
func levelBelow(score: Double) -> Int32 {
  score > 0
    ? levelBelow(squared: score)
    : levelBelow(squared: Score.magnifiedSquare(score)) - Int32(Score.magnification.exponent)
}

/// The same by its square: the largest `i` with `4^i < squared`. `squared` is positive.
@inline(__always)
func levelBelow(squared: Double) -> Int32 {
  let exponent = Int32(truncatingIfNeeded: squared.exponent)
  let half = exponent >> 1
  return exponent & 1 == 0 && squared.significand == 1 ? half - 1 : half
}

/// The lowest level whose radius reaches the distance: the smallest `i` with `squared <= 4^i`.
@inline(__always)
func levelCovering(squared: Double) -> Int32 { levelBelow(squared: squared) + 1 }

/// The lowest level whose radius reaches a distance that is not zero, by its score.
@inline(__always)
func levelCovering(score: Double) -> Int32 {
  score > 0 ? levelCovering(squared: score) : levelBelow(score: score) + 1
}
