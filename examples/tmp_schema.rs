fn main() {
    gauntlet::cli::schema::schema(&mut std::io::stdout()).unwrap();
}
