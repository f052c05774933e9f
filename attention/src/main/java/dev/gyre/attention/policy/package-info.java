/**
 * Selection policies: which of the tokens that a query sees it attends to, behind one small interface, and what that
 * costs. A policy is one file here and one line in {@link dev.gyre.attention.policy.SelectionPolicies}. Uses the
 * operations' interfaces and the caches, never a particular implementation.
 */
package dev.gyre.attention.policy;
