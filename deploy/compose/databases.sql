-- PostgreSQL's image makes the role audit and its database `audit`; this one is Dagster's.
create database dagster owner audit;
