// Package actionlint pins github.com/rhysd/actionlint, which checks the workflows in .github.
package actionlint
