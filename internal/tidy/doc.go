// Package tidy keeps the house rules. They are tests.
package tidy
