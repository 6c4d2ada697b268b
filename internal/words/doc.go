// Package words holds the test that looks for turns of phrase which CONTRIBUTING.md
// asks you to avoid, in everything that a user reads: documents, help, errors,
// pages, profiles and the comments of exported names.
package words
