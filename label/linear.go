package label

import "math"

// sym is a symmetric matrix of n rows, all of its elements, row by row.
type sym struct {
	n int
	a []float64
}

func newSym(n int) sym { return sym{n, make([]float64, n*n)} }

func (m sym) at(i, j int) float64     { return m.a[i*m.n+j] }
func (m sym) set(i, j int, x float64) { m.a[i*m.n+j] = x }

func (m sym) clone() sym {
	c := newSym(m.n)
	copy(c.a, m.a)
	return c
}

// part gives the rows and columns that idx names.
func (m sym) part(idx []int) sym {
	p := newSym(len(idx))
	for i, r := range idx {
		for j, c := range idx {
			p.set(i, j, m.at(r, c))
		}
	}
	return p
}

// cholesky puts the lower factor L of m = L Lᵀ in place of m's lower half. It
// reports false where m is not positive definite.
func (m sym) cholesky() bool {
	for j := range m.n {
		row := m.a[j*m.n : j*m.n+j]
		d := m.at(j, j)
		for _, x := range row {
			d -= x * x
		}
		if !(d > 0) {
			return false
		}
		d = math.Sqrt(d)
		m.set(j, j, d)
		for i := j + 1; i < m.n; i++ {
			s := m.at(i, j)
			other := m.a[i*m.n : i*m.n+j]
			for k, x := range row {
				s -= x * other[k]
			}
			m.set(i, j, s/d)
		}
	}
	return true
}

// solve puts x with L Lᵀ x = b in place of b; m is what cholesky left.
func (m sym) solve(b []float64) {
	m.forward(b)
	for i := m.n - 1; i >= 0; i-- {
		s := b[i]
		for k := i + 1; k < m.n; k++ {
			s -= m.at(k, i) * b[k]
		}
		b[i] = s / m.at(i, i)
	}
}

// forward puts x with L x = b in place of b.
func (m sym) forward(b []float64) {
	for i := range m.n {
		s := b[i]
		for k, x := range m.a[i*m.n : i*m.n+i] {
			s -= x * b[k]
		}
		b[i] = s / m.at(i, i)
	}
}

// logDet gives the logarithm of the determinant; m is what cholesky left.
func (m sym) logDet() float64 {
	var s float64
	for i := range m.n {
		s += math.Log(m.at(i, i))
	}
	return 2 * s
}

// less takes r·v vᵀ away.
func (m sym) less(r float64, v []float64) {
	for i := range m.n {
		x := r * v[i]
		for j := range m.n {
			m.a[i*m.n+j] -= x * v[j]
		}
	}
}

func dot(a, b []float64) float64 {
	var s float64
	for i, x := range a {
		s += x * b[i]
	}
	return s
}

// normalCDF is Φ.
func normalCDF(x float64) float64 { return math.Erfc(-x/math.Sqrt2) / 2 }

// studentCDF is the distribution function of Student's t with nu degrees of
// freedom; infinite nu is the normal distribution.
func studentCDF(x, nu float64) float64 {
	if math.IsInf(nu, 1) {
		return normalCDF(x)
	}
	tail := betaInc(nu/2, 0.5, nu/(nu+x*x)) / 2
	if x > 0 {
		return 1 - tail
	}
	return tail
}

// betaInc is the regularised incomplete beta function I_x(a, b), by its
// continued fraction (Lentz's method; DiDonato and Morris 1992, sec. 4).
func betaInc(a, b, x float64) float64 {
	switch {
	case x <= 0:
		return 0
	case x >= 1:
		return 1
	case x > (a+1)/(a+b+2):
		return 1 - betaInc(b, a, 1-x)
	}
	la, _ := math.Lgamma(a)
	lb, _ := math.Lgamma(b)
	lab, _ := math.Lgamma(a + b)
	front := math.Exp(lab-la-lb+a*math.Log(x)+b*math.Log1p(-x)) / a
	const tiny = 1e-300
	c, d := 1.0, 1-(a+b)*x/(a+1)
	if math.Abs(d) < tiny {
		d = tiny
	}
	d = 1 / d
	h := d
	for m := 1.0; m <= 500; m++ {
		for _, num := range [2]float64{
			m * (b - m) * x / ((a + 2*m - 1) * (a + 2*m)),
			-(a + m) * (a + b + m) * x / ((a + 2*m) * (a + 2*m + 1)),
		} {
			if d = 1 + num*d; math.Abs(d) < tiny {
				d = tiny
			}
			if c = 1 + num/c; math.Abs(c) < tiny {
				c = tiny
			}
			d = 1 / d
			h *= d * c
		}
		if math.Abs(d*c-1) < 1e-14 {
			break
		}
	}
	return front * h
}
