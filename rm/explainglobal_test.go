package rm_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"cai/rm"
)

func TestOverviewNamesWhatTheHeadsLookAt(t *testing.T) {
	statistics(t)
	ctx := context.Background()
	for _, name := range []string{"linear", "all features", "mlp, sources", "ensemble", "stack", "principles"} {
		f := trained(t, name)
		o, m := f.o, f.m
		b, err := m.Background(ctx, seq(formPairs()), o)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		views, err := b.Overview(ctx, 12)
		if err != nil {
			t.Fatal(err)
		}
		for _, blind := range m.Overview(12) {
			if blind.Note == "" && len(blind.Positive) == 0 {
				t.Errorf("%s: %s without data shows nothing", name, blind.Name)
			}
		}
		for _, k := range b.Kinds(3) {
			if len(k.High) != 3 || len(k.Low) != 3 || k.High[0] == k.Low[0] {
				t.Errorf("%s: kind %+v", name, k)
			}
		}
		good, bad := 0, 0
		for _, v := range views {
			for i, list := range [][]rm.FeatureView{v.Positive, v.Negative} {
				last, group := 0.0, ""
				for j, f := range list {
					kind := "other"
					if f.Group == rm.FeatureHash || f.Group == rm.FeatureChars {
						kind = f.Group
					}
					if (f.Effect > 0) != (i == 0) || group == kind && f.Effect*f.Effect > last*last*(1+1e-9) {
						t.Errorf("%s: %s: effect %v in place %d", name, v.Name, f.Effect, j)
					}
					last, group = f.Effect, kind
					if f.Group == rm.FeatureHash && !strings.Contains(f.Name, " × ") {
						if strings.HasPrefix(f.Name, "bucket ") || f.Source == nil || len(f.Names) == 0 || !strings.Contains(strings.ToLower(f.Example), strings.Fields(f.Names[0])[0]) && len(f.Names) == 1 {
							t.Errorf("%s: %+v is not named", name, f)
						}
						if i == 0 && slices.Contains(goodWords, f.Name) {
							good++
						}
						if i == 1 && slices.Contains(badWords, f.Name) {
							bad++
						}
					}
				}
			}
		}
		if slices.Contains(m.Metadata.Features, rm.FeatureHash) && len(o.Sources) == 0 && m.Metadata.Head != rm.HeadPrinciples && (good < 4 || bad < 4) {
			t.Errorf("%s: %d good words up, %d bad ones down: %+v", name, good, bad, views[0])
		}
	}
}
